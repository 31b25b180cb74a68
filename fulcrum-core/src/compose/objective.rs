//! Stages of an objective: what one solve minimises, and the caps on measures that it must keep.

use rust_decimal::{Decimal, prelude::ToPrimitive};

use crate::{
    catalogue::OfferIx,
    compose::{error::ComposeError, options::ComposeOptions},
    model::{Blueprint, Constraint, Measure, Objective, ProviderId, from_micros},
};

/// Values inside the engine are millionths of a measure's unit, over the whole horizon.
pub(crate) const MICROS_PER_UNIT: i64 = 1_000_000;

/// A value over the horizon, in millionths of its unit. A cost is the sum of all monthly payments and all single
/// payments. It is exact, as no share of a set-up fee has to be rounded.
pub(crate) type Cost = i64;

/// An upper limit on a weighted sum of measures, over the horizon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cap {
    pub(crate) weights: Vec<(Measure, i64)>,
    pub(crate) max: i128,
}

impl Cap {
    fn of(measure: Measure, max: i128) -> Self {
        Self { weights: vec![(measure, 1)], max }
    }

    /// The measure that is capped, if it is one alone.
    pub(crate) fn single_measure(&self) -> Option<Measure> {
        match &*self.weights {
            [(measure, 1)] => Some(*measure),
            _ => None,
        }
    }
}

/// One stage of a lexicographic objective: the weights of the measures to minimise, and the caps to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectiveStage {
    /// By the order of [`Measure::ALL`]; zero for measures that are not minimised.
    weights: [i64; Measure::ALL.len()],
    /// The blueprint's weights times this number are the weights here.
    pub(crate) scale: i64,
    pub(crate) caps: Vec<Cap>,
    /// An offer that must be leased. `why_not` asks for the cost of using it.
    pub(crate) must_use: Option<OfferIx>,
    /// A provider and its discount in millionths. `explain` asks which discount would bring the provider into the
    /// plan.
    pub(crate) discount: Option<(ProviderId, i64)>,
}

impl ObjectiveStage {
    /// The stages of a blueprint's objective, in the order in which they are solved. Cost breaks the last tie.
    pub(crate) fn stages(blueprint: &Blueprint, options: &ComposeOptions) -> Result<Vec<Self>, ComposeError> {
        let horizon = i128::from(blueprint.horizon_months);
        let mut caps: Vec<Cap> = Vec::new();
        let mut cap = |measure: Measure, max: Decimal| -> Result<(), ComposeError> {
            let micros =
                max.checked_mul(Decimal::from(MICROS_PER_UNIT)).and_then(|micros| micros.floor().to_i128());
            let micros = micros.ok_or_else(|| ComposeError::TooLarge(format!("a limit of {max}")))?;
            caps.push(Cap::of(measure, micros.saturating_mul(horizon)));
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
        let then = blueprint.objective.tie_breakers().into_iter().map(single);
        match &blueprint.objective {
            Objective::InTurn(measures) => {
                Ok(measures[..1].iter().copied().map(single).chain(then).collect())
            }
            Objective::Weighted(weighted) => {
                let digits = weighted.values().map(|weight| weight.normalize().scale()).max().unwrap_or(0);
                let scale = 10i64.pow(digits.min(3));
                let mut weights = [0; Measure::ALL.len()];
                for (measure, weight) in weighted {
                    let whole = weight.checked_mul(Decimal::from(scale)).and_then(|whole| whole.to_i64());
                    weights[*measure as usize] =
                        whole.ok_or_else(|| ComposeError::TooLarge(format!("a weight of {weight}")))?;
                }
                let first = Self { weights, scale, caps: caps.clone(), must_use: None, discount: None };
                Ok([first].into_iter().chain(then).collect())
            }
        }
    }

    /// The weight of one unit of a measure.
    pub(crate) fn weight(&self, measure: Measure) -> i64 {
        self.weights[measure as usize]
    }

    /// Whether the solve must compute a measure: it is minimised or capped.
    pub(crate) fn tracks(&self, measure: Measure) -> bool {
        self.weight(measure) != 0 || self.capped().any(|capped| capped == measure)
    }

    /// The measures that caps look at, some of them more than once.
    pub(crate) fn capped(&self) -> impl Iterator<Item = Measure> {
        self.caps.iter().flat_map(|cap| cap.weights.iter().map(|(measure, _)| *measure))
    }

    /// The limit that keeps what this stage has reached.
    pub(crate) fn cap_at(&self, value: i128) -> Cap {
        let weights = Measure::ALL.iter().map(|(measure, _)| (*measure, self.weight(*measure)));
        Cap { weights: weights.filter(|(_, weight)| *weight != 0).collect(), max: value }
    }

    /// The measure that is minimised, if it is one alone, with weight 1: the stage's value is then the measure's.
    pub(crate) fn single_measure(&self) -> Option<Measure> {
        let mut weighed = Measure::ALL.iter().map(|(measure, _)| *measure).filter(|m| self.weight(*m) != 0);
        let measure = weighed.next().filter(|_| weighed.next().is_none())?;
        (self.scale == 1 && self.weight(measure) == 1).then_some(measure)
    }
}

pub(crate) fn per_month(stage: &ObjectiveStage, horizon_months: u32, value: i128) -> Decimal {
    let months = i128::from(horizon_months) * i128::from(stage.scale);
    let value = value.clamp(-(1 << 100), 1 << 100);
    let micros = (2 * value + months).div_euclid(2 * months);
    from_micros(micros.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
}
