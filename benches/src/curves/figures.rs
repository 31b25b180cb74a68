//! What the pictures show of the points.

use super::{
    Point,
    picture::{Axis, COLOURS, Line, Panel, svg},
    table::grouped,
};
use crate::published::Error;

/// A goal of the project: bytes per offer of the compiled problem.
const MAX_PROBLEM_BYTES: f64 = 150.0;
/// A gap below it is drawn as it.
const MIN_PLOTTED_GAP_PERCENT: f64 = 0.01;

/// The application that pictures over offers show, and the least market of those over components.
const DEFAULT_COMPONENTS: usize = 20;
const MIN_MARKET_OFFERS: usize = 10_000;
/// Applications that are told apart where offers are below.
const COMPONENT_COUNTS: [usize; 3] = [5, 20, 60];

/// A figure of a point.
type Metric = fn(&Point) -> Option<f64>;

/// All pictures, each with the name of its file.
///
/// # Errors
/// As [`svg`].
pub fn all(points: &[Point]) -> Result<Vec<(&'static str, String)>, Error> {
    let apps: Vec<usize> =
        distinct(points, |p| p.components).into_iter().filter(|c| COMPONENT_COUNTS.contains(c)).collect();
    let markets: Vec<usize> = distinct(points, |p| p.offers)
        .into_iter()
        .filter(|offers| *offers >= MIN_MARKET_OFFERS && 10usize.pow(offers.ilog10()) == *offers)
        .collect();
    let largest = points.iter().map(|point| point.offers).max().unwrap_or(0);
    let time_over_offers: Vec<Panel> = apps.iter().map(|app| times(points, XAxis::Offers(*app))).collect();
    let time_over_components: Vec<Panel> =
        markets.iter().map(|market| times(points, XAxis::Components(*market))).collect();
    let gap_over_offers = gaps(points, apps.iter().map(|app| XAxis::Offers(*app)).collect());
    let gap_over_components = gaps(points, markets.iter().map(|market| XAxis::Components(*market)).collect());
    let memory =
        [memory(points, XAxis::Offers(DEFAULT_COMPONENTS)), memory(points, XAxis::Components(largest))];
    Ok(vec![
        ("curves-time-offers.svg", svg(&time_over_offers)?),
        ("curves-time-components.svg", svg(&time_over_components)?),
        ("curves-gap-offers.svg", svg(&[gap_over_offers])?),
        ("curves-gap-components.svg", svg(&[gap_over_components])?),
        ("curves-memory.svg", svg(&memory)?),
    ])
}

/// What changes along a panel, and what stays.
#[derive(Clone, Copy)]
enum XAxis {
    /// Offers, for so many components.
    Offers(usize),
    /// Components, in a market of so many offers.
    Components(usize),
}

impl XAxis {
    fn x(self, point: &Point) -> f64 {
        match self {
            Self::Offers(_) => point.offers as f64,
            Self::Components(_) => point.components as f64,
        }
    }

    fn holds(self, point: &Point) -> bool {
        match self {
            Self::Offers(components) => point.components == components,
            Self::Components(offers) => point.offers == offers,
        }
    }

    fn title(self) -> String {
        match self {
            Self::Offers(components) => format!("{components} components"),
            Self::Components(offers) => format!("{} offers", grouped(offers)),
        }
    }

    fn axis(self, points: &[Point]) -> Axis {
        match self {
            Self::Offers(_) => powers(
                "offers",
                distinct(points, |point| point.offers).into_iter().map(|n| n as f64).collect(),
            ),
            Self::Components(_) => {
                let ticks: Vec<f64> =
                    distinct(points, |point| point.components).into_iter().map(|c| c as f64).collect();
                let (low, high) = ends(&ticks);
                Axis { title: "components", range: low / 1.2..high * 1.2, ticks }
            }
        }
    }

    fn line(self, points: &[Point], name: &str, colour: usize, of: Metric) -> Line {
        let points = points
            .iter()
            .filter(|point| self.holds(point))
            .filter_map(|point| Some((self.x(point), of(point)?)));
        let colour = COLOURS[colour % COLOURS.len()];
        Line { name: name.to_owned(), colour, is_limit: false, points: points.collect() }
    }
}

fn times(points: &[Point], over: XAxis) -> Panel {
    let of: [(&str, Metric); 3] = [
        ("problem reduced", |point| Some(point.reduced_ms)),
        ("first plan", |point| point.first_ms),
        ("within 1 % of the best", |point| point.one_percent_ms),
    ];
    let lines: Vec<Line> =
        of.iter().enumerate().map(|(at, (name, of))| over.line(points, name, at, *of)).collect();
    let all = points.iter().flat_map(|point| of.iter().filter_map(|(_, of)| of(point)));
    Panel { title: over.title(), x: over.axis(points), y: powers("time, ms", all.collect()), lines }
}

fn gaps(points: &[Point], axes: Vec<XAxis>) -> Panel {
    let gap: Metric = |point| point.gap_percent.map(|gap| gap.max(MIN_PLOTTED_GAP_PERCENT));
    let lines = axes.iter().enumerate().map(|(at, over)| over.line(points, &over.title(), at, gap)).collect();
    let x = axes.first().map(|over| over.axis(points)).unwrap_or_else(|| powers("", Vec::new()));
    let title = format!("gap against {}", x.title);
    let y = powers(
        "gap when time is up, %",
        points.iter().filter_map(gap).chain([MIN_PLOTTED_GAP_PERCENT]).collect(),
    );
    Panel { title, x, y, lines }
}

fn memory(points: &[Point], over: XAxis) -> Panel {
    let of: [(&str, Metric); 3] = [
        ("compiled problem", |point| Some(point.an_offer(point.problem_bytes))),
        ("most in use while composing", |point| Some(point.an_offer(point.peak_bytes))),
        ("catalogue", |point| Some(point.an_offer(point.catalogue_bytes))),
    ];
    let mut lines: Vec<Line> =
        of.iter().enumerate().map(|(at, (name, of))| over.line(points, name, at, *of)).collect();
    let x = over.axis(points);
    lines.push(Line {
        name: format!("{MAX_PROBLEM_BYTES} bytes"),
        colour: COLOURS[COLOURS.len() - 1],
        is_limit: true,
        points: vec![(x.range.start, MAX_PROBLEM_BYTES), (x.range.end, MAX_PROBLEM_BYTES)],
    });
    let all = points.iter().filter(|point| over.holds(point));
    let all = all.flat_map(|point| of.iter().filter_map(|(_, of)| of(point))).chain([MAX_PROBLEM_BYTES]);
    Panel { title: over.title(), x, y: powers("bytes an offer", all.collect()), lines }
}

/// From the power of ten below all figures to that above.
fn powers(title: &'static str, figures: Vec<f64>) -> Axis {
    let (low, high) = ends(&figures);
    let (low, high) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let high = high.max(low + 1);
    let ticks = (low..=high).map(|power| 10f64.powi(power)).collect();
    Axis { title, range: 10f64.powi(low)..10f64.powi(high), ticks }
}

/// The least and the greatest figure.
fn ends(figures: &[f64]) -> (f64, f64) {
    let figures = figures.iter().filter(|figure| figure.is_finite() && **figure > 0.0);
    let (low, high) =
        figures.fold((f64::INFINITY, 0.0f64), |(low, high), figure| (low.min(*figure), high.max(*figure)));
    if low > high { (1.0, 10.0) } else { (low, high) }
}

fn distinct(points: &[Point], of: impl Fn(&Point) -> usize) -> Vec<usize> {
    let mut values: Vec<usize> = points.iter().map(of).collect();
    values.sort_unstable();
    values.dedup();
    values
}
