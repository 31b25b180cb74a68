//! The document that shows the curves.

use std::{fs, path::Path};

use super::{Point, Recomposed, figures, table, write};
use crate::published::Error;

/// The circumstances of a run.
#[derive(Debug, Clone)]
pub struct RunDescription {
    /// The command that makes the document.
    pub command: String,
    /// Of each call to `compose`.
    pub seconds: f64,
    /// Runs of which each figure is the median.
    pub repeat: usize,
    /// Processor and memory.
    pub machine: String,
    /// The day.
    pub date: String,
}

/// Writes document, figures and pictures below a folder.
///
/// # Errors
/// A file cannot be written.
pub fn write_all(
    folder: &Path,
    about: &RunDescription,
    points: &[Point],
    unshared: &[Point],
    again: &[Recomposed],
) -> Result<(), Error> {
    fs::create_dir_all(folder.join("img"))?;
    write(&folder.join("curves.csv"), points)?;
    write(&folder.join("curves-unshared.csv"), unshared)?;
    write(&folder.join("curves-again.csv"), again)?;
    fs::write(folder.join("curves.md"), text(about, points, unshared, again))?;
    draw(folder, points)
}

/// Writes the pictures only.
///
/// # Errors
/// A file cannot be written.
pub fn draw(folder: &Path, points: &[Point]) -> Result<(), Error> {
    for (name, svg) in figures::all(points)? {
        fs::write(folder.join("img").join(name), svg)?;
    }
    Ok(())
}

/// The document as Markdown.
pub fn text(about: &RunDescription, points: &[Point], unshared: &[Point], again: &[Recomposed]) -> String {
    let RunDescription { command, seconds, repeat, machine, date } = about;
    let of = match repeat {
        1 => "of one call each".to_owned(),
        _ => format!("the median of {repeat} calls each"),
    };
    let (points, unshared) = (table::points(points), table::points(unshared));
    let again = table::again(again);
    format!(
        "# Time and memory against the size of a market

Written by `{command}`; do not edit. Measured on {date} on {machine}.
One thread, optimised build. The machine was shared, so a time may be too long, never too short. Markets and applications are generated from a seed
(`benches/src/market.rs`): links, spread, survival of a provider, and stock that runs out. Each call to `compose` had
{seconds} s; times are from the call on, {of}. The components of an application
may share machines (`share: all`), but for the table that says otherwise. The figures are also in `curves.csv`, `curves-unshared.csv`
and `curves-again.csv`.

* **reduced**: until the problem is compiled: filters and reductions are done, the search begins.
* **first plan**: until there is a plan that meets all conditions.
* **within 1 %**: until a plan is proven to cost at most 1 % more than the best one can. A line that ends did not get
  there in {seconds} s.

## Time against offers

![Time against offers, a panel for each size of application](img/curves-time-offers.svg)

## Time against components

![Time against components, a panel for each size of market](img/curves-time-components.svg)

## Gap after {seconds} s

The distance between the plan and the proven bound when time is up; 0.01 % stands for all that is below, the proven
optimum included.

![Gap against offers](img/curves-gap-offers.svg) ![Gap against components](img/curves-gap-components.svg)

## Memory

Bytes that live, as the allocator counts them, for each offer of the market. The **compiled problem** is what a call to
`compose` has allocated and kept when the search begins; the **most in use** is the peak of the whole call. Most of that
are tables of linear programs, whose size follows from components and patterns and hardly from offers: a small market
divides them by few. The **catalogue** is there before and serves all calls.

![Bytes an offer against offers and against components](img/curves-memory.svg)

## All figures

{points}
## Each component on machines of its own

The same applications without `share`: no machine carries two components.

{unshared}
## After a small change

Every hundredth machine became 3 % dearer. The same application is composed anew, and again with the plan from before
as a start (`ComposeOptions::start`).

{again}"
    )
}
