//! What one search minimises, and the caps on other measures that it must keep.

use rust_decimal::{Decimal, prelude::ToPrimitive};

use crate::{
    catalogue::OfferIx,
    compose::{error::ComposeError, options::ComposeOptions},
    model::{Blueprint, Constraint, Measure, Objective, ProviderId, from_micros},
};

/// Figures inside the engine are millionths of a measure's unit, over the whole horizon.
pub(crate) const MICRO: i64 = 1_000_000;

/// A figure over the horizon, in millionths of its unit. Of money: each month paid times the month's price, plus
/// what is paid once as often as it is paid; exact, where a share of a set-up fee would have to be rounded.
pub(crate) type Cost = i64;

/// Weights of the measures that are minimised together, and caps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Aim {
    /// By the order of [`Measure::ALL`]; zero for those that do not matter.
    weights: [i64; Measure::ALL.len()],
    /// The weights are this many times those of the blueprint.
    pub(crate) scale: i64,
    /// The most of a measure, over the horizon.
    pub(crate) caps: Vec<(Measure, i128)>,
    /// An offer that must be leased: to say what that would cost.
    pub(crate) must_use: Option<OfferIx>,
    /// What a provider charges less, in millionths: to say what it would have to charge.
    pub(crate) discount: Option<(ProviderId, i64)>,
}

impl Aim {
    /// The stages of a blueprint's objective: each an aim, to be followed in turn.
    pub(crate) fn stages(blueprint: &Blueprint, options: &ComposeOptions) -> Result<Vec<Self>, ComposeError> {
        let horizon = i128::from(blueprint.horizon_months);
        let mut caps: Vec<(Measure, i128)> = Vec::new();
        let mut cap = |measure: Measure, max: Decimal| -> Result<(), ComposeError> {
            let micros = max.checked_mul(Decimal::from(MICRO)).and_then(|micros| micros.floor().to_i128());
            let micros = micros.ok_or_else(|| ComposeError::TooLarge(format!("a limit of {max}")))?;
            caps.push((measure, micros.saturating_mul(horizon)));
            Ok(())
        };
        if let Some(budget) = blueprint.budget {
            cap(Measure::Cost, budget)?;
        }
        for constraint in &blueprint.constraints {
            if let Constraint::Limit(limit) = constraint
                && let Some(measure) = limit.measure
            {
                cap(measure, limit.max)?;
            }
        }
        for (measure, max) in &options.caps {
            cap(*measure, *max)?;
        }
        let single = |measure: Measure| {
            let mut weights = [0; Measure::ALL.len()];
            weights[measure as usize] = 1;
            Self { weights, scale: 1, caps: caps.clone(), must_use: None, discount: None }
        };
        match &blueprint.objective {
            Objective::InTurn(measures) => Ok(measures.iter().copied().map(single).collect()),
            Objective::Weighted(weighted) => {
                let digits = weighted.values().map(|weight| weight.normalize().scale()).max().unwrap_or(0);
                let scale = 10i64.pow(digits.min(3));
                let mut weights = [0; Measure::ALL.len()];
                for (measure, weight) in weighted {
                    let whole = weight.checked_mul(Decimal::from(scale)).and_then(|whole| whole.to_i64());
                    weights[*measure as usize] =
                        whole.ok_or_else(|| ComposeError::TooLarge(format!("a weight of {weight}")))?;
                }
                Ok(vec![Self { weights, scale, caps, must_use: None, discount: None }])
            }
        }
    }

    /// How much one unit of a measure counts.
    pub(crate) fn weight(&self, measure: Measure) -> i64 {
        self.weights[measure as usize]
    }

    /// Whether the search must know a measure.
    pub(crate) fn knows(&self, measure: Measure) -> bool {
        self.weight(measure) != 0 || self.caps.iter().any(|(capped, _)| *capped == measure)
    }

    /// The measure, if it is a single one that is minimised.
    pub(crate) fn single(&self) -> Option<Measure> {
        let mut weighed = Measure::ALL.iter().map(|(measure, _)| *measure).filter(|m| self.weight(*m) != 0);
        weighed.next().filter(|_| weighed.next().is_none() && self.scale == 1)
    }
}

pub(crate) fn per_month(aim: &Aim, horizon_months: u32, value: i128) -> Decimal {
    let months = i128::from(horizon_months) * i128::from(aim.scale);
    let value = value.clamp(-(1 << 100), 1 << 100);
    let micros = (2 * value + months).div_euclid(2 * months);
    from_micros(micros.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
}
