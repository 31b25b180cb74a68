//! Checks the amounts of a plan, whoever wrote it.

use rust_decimal::Decimal;

use super::{
    DocumentError, Plan, PriceLine, blueprint::check_name, checked_sum, money, settings::check_settings,
};

/// Digits after the point of what is rounded to micro-units.
const MAX_DECIMAL_PLACES: u32 = 6;

/// The largest sum of a plan, over a month or a horizon, in main units: a million million.
const MAX_SUM: i64 = 1_000_000_000_000;

/// The largest figure of a measure, either way.
const MAX_FIGURE: i64 = 1_000_000_000_000_000_000;

/// The most GiB of one lease: 2⁴⁰, as of a component.
const MAX_GIB: u64 = 1 << 40;

fn is_rounded(amount: Decimal) -> Result<(), String> {
    let is_rounded = amount.round_dp(MAX_DECIMAL_PLACES) == amount;
    if is_rounded {
        Ok(())
    } else {
        Err(format!("{amount} is not rounded; write at most {MAX_DECIMAL_PLACES} digits after the point"))
    }
}

fn check_sum(amount: Decimal) -> Result<(), String> {
    let is_right = (Decimal::ZERO..=Decimal::from(MAX_SUM)).contains(&amount);
    if is_right {
        Ok(())
    } else {
        Err(format!("{amount} is not a valid sum of a plan; write 0 to {MAX_SUM}"))
    }
}

fn check_figure(figure: Decimal) -> Result<(), String> {
    let is_right = figure.abs() <= Decimal::from(MAX_FIGURE);
    if is_right {
        Ok(())
    } else {
        Err(format!("{figure} is out of range; write at most {MAX_FIGURE}, either way"))
    }
}

impl Plan {
    /// Checks what the form alone does not: each amount is money, rounded to micro-units, and so small that a plan of them
    /// can be added up.
    ///
    /// # Errors
    /// [`DocumentError`] with the path of the amount, such as `leases[0].lines[1].monthly`.
    pub fn check(&self) -> Result<(), DocumentError> {
        let amount = |path: String, amount: Decimal| {
            money::check_amount(amount)
                .and_then(|()| is_rounded(amount))
                .map_err(|why| DocumentError::at(path, why))
        };
        let sum = |path: String, amount: Decimal| {
            check_sum(amount).and_then(|()| is_rounded(amount)).map_err(|why| DocumentError::at(path, why))
        };
        check_name(&self.blueprint).map_err(|why| DocumentError::at("blueprint", why))?;
        for (at, lease) in self.leases.iter().enumerate() {
            check_settings(lease.settings.iter(), lease.replicas.len().max(1)).map_err(
                |(setting, why)| {
                    let dot = if setting.is_empty() { "" } else { "." };
                    DocumentError::at(format!("leases[{at}].settings{dot}{setting}"), why)
                },
            )?;
            for (of, PriceLine { monthly, once, total, .. }) in lease.lines.iter().enumerate() {
                let path = format!("leases[{at}].lines[{of}]");
                amount(format!("{path}.monthly"), *monthly)?;
                amount(format!("{path}.once"), *once)?;
                sum(format!("{path}.total"), *total)?;
            }
            if lease.size_gib > MAX_GIB {
                return Err(DocumentError::at(
                    format!("leases[{at}].size_gib"),
                    format!("write at most {MAX_GIB}"),
                ));
            }
        }
        for (at, line) in self.traffic.iter().enumerate() {
            amount(format!("traffic[{at}].monthly"), line.monthly)?;
        }
        for (at, line) in self.fees.iter().enumerate() {
            amount(format!("fees[{at}].monthly"), line.monthly)?;
            amount(format!("fees[{at}].once"), line.once)?;
        }
        for (at, line) in self.moves.iter().enumerate() {
            sum(format!("moves[{at}].once"), line.once)?;
        }
        sum("monthly".to_owned(), self.monthly)?;
        sum("once".to_owned(), self.once)?;
        let stages = self.later_stages.iter().enumerate().flat_map(|(at, stage)| {
            [(format!("then[{at}].value"), stage.value), (format!("then[{at}].bound"), stage.bound)]
        });
        let measures =
            self.measures.0.iter().map(|(measure, value)| (format!("measures.{measure}"), value.0));
        let proof = [("objective", self.objective), ("bound", self.bound), ("gap_percent", self.gap_percent)];
        let proof = proof.map(|(field, figure)| (field.to_owned(), figure));
        for (path, figure) in proof.into_iter().chain(measures).chain(stages) {
            check_figure(figure).map_err(|why| DocumentError::at(path, why))?;
        }
        Ok(())
    }

    /// What its lines add up to: each month, and at the start. `None` beyond the range of a decimal, which a plan that
    /// [`check`](Self::check) passes never is.
    pub fn sums(&self) -> Option<(Decimal, Decimal)> {
        let lines = || self.leases.iter().flat_map(|lease| &lease.lines);
        let monthly = lines()
            .map(|line| line.monthly)
            .chain(self.traffic.iter().map(|line| line.monthly))
            .chain(self.fees.iter().map(|line| line.monthly));
        let once = lines()
            .map(|line| line.once)
            .chain(self.fees.iter().map(|line| line.once))
            .chain(self.moves.iter().map(|line| line.once));
        Some((checked_sum(monthly)?, checked_sum(once)?))
    }
}
