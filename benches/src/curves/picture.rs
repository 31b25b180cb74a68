//! Panels side by side as an SVG: lines over two logarithmic axes, one legend for all.
//!
//! The ground is left clear and all colours are of middling lightness, so that it can be read on light and on dark
//! pages.

use std::ops::Range;

use plotters::{
    coord::{
        Shift,
        combinators::{BindKeyPoints, IntoLogRange},
    },
    prelude::{
        ChartBuilder, Circle, DashedLineSeries, DrawingArea, IntoDrawingArea, IntoFont, LineSeries,
        PathElement, RGBAColor, RGBColor, SVGBackend, Text,
    },
    style::{Color, TextStyle},
};

use crate::published::Error;

/// A colour-blind reader tells them apart (M. Okabe, K. Ito, *Color Universal Design*, 2008).
pub const COLOURS: [RGBColor; 5] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
];
const INK: RGBColor = RGBColor(125, 125, 125);
const FAINT: RGBAColor = RGBAColor(125, 125, 125, 0.25);

const PANEL_PIXELS: (u32, u32) = (360, 320);
const LEGEND_LEFT: i32 = 68;
const LEGEND_ROW: u32 = 22;
/// Of a letter in the legend, about.
const LETTER_WIDTH: i32 = 7;

/// An axis.
#[derive(Debug, Clone)]
pub struct Axis {
    /// What is measured, and its unit.
    pub title: &'static str,
    /// From where to where.
    pub range: Range<f64>,
    /// Where it is labelled.
    pub ticks: Vec<f64>,
}

/// A line, with a mark at each point; or without marks and dashed, if it is no measurement but a limit.
#[derive(Debug, Clone)]
pub struct Line {
    /// For the legend: lines of one name look alike in all panels.
    pub name: String,
    /// How it looks.
    pub colour: RGBColor,
    /// Whether it is a limit.
    pub is_limit: bool,
    /// Both figures above zero.
    pub points: Vec<(f64, f64)>,
}

/// One diagram.
#[derive(Debug, Clone)]
pub struct Panel {
    /// What is the same for all of it.
    pub title: String,
    /// Along.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// What it shows.
    pub lines: Vec<Line>,
}

/// Draws panels as an SVG.
///
/// # Errors
/// Never, as nothing is written but text.
pub fn svg(panels: &[Panel]) -> Result<String, Error> {
    let mut text = String::new();
    let width = PANEL_PIXELS.0 * panels.len() as u32;
    let (entries, rows) = legend(panels, width as i32);
    {
        let size = (width, PANEL_PIXELS.1 + rows as u32 * LEGEND_ROW + 8);
        let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
        let (diagrams, legend) = root.split_vertically(PANEL_PIXELS.1);
        for (area, panel) in diagrams.split_evenly((1, panels.len())).iter().zip(panels) {
            draw(area, panel)?;
        }
        for entry in entries {
            draw_entry(&legend, &entry)?;
        }
        root.present()?;
    }
    Ok(text)
}

fn font(size: i32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

fn draw(area: &DrawingArea<SVGBackend<'_>, Shift>, panel: &Panel) -> Result<(), Error> {
    let axis = |axis: &Axis| axis.range.clone().log_scale().with_key_points(axis.ticks.clone());
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .margin_right(18)
        .caption(&panel.title, font(17))
        .x_label_area_size(44)
        .y_label_area_size(58)
        .build_cartesian_2d(axis(&panel.x), axis(&panel.y))?;
    chart
        .configure_mesh()
        .x_labels(panel.x.ticks.len())
        .y_labels(panel.y.ticks.len())
        .x_desc(panel.x.title)
        .y_desc(panel.y.title)
        .x_label_formatter(&|value| short(*value))
        .y_label_formatter(&|value| short(*value))
        .label_style(font(13))
        .axis_desc_style(font(14))
        .axis_style(INK)
        .bold_line_style(FAINT)
        .light_line_style(RGBAColor(0, 0, 0, 0.0))
        .draw()?;
    for line in &panel.lines {
        let points = line.points.iter().copied();
        if line.is_limit {
            chart.draw_series(DashedLineSeries::new(points, 6, 4, line.colour.stroke_width(1)))?;
        } else {
            chart.draw_series(LineSeries::new(points.clone(), line.colour.stroke_width(2)))?;
            chart.draw_series(points.map(|point| Circle::new(point, 3, line.colour.filled())))?;
        }
    }
    Ok(())
}

/// A line of the legend, and where it stands.
struct Entry<'a> {
    line: &'a Line,
    left: i32,
    top: i32,
}

/// Each name once, in as many rows as the width asks for.
fn legend(panels: &[Panel], width: i32) -> (Vec<Entry<'_>>, usize) {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    let (mut left, mut row) = (LEGEND_LEFT, 0);
    for line in panels.iter().flat_map(|panel| &panel.lines) {
        if entries.iter().any(|entry| entry.line.name == line.name) {
            continue;
        }
        let needed = 48 + line.name.chars().count() as i32 * LETTER_WIDTH;
        if left + needed > width && left > LEGEND_LEFT {
            (left, row) = (LEGEND_LEFT, row + 1);
        }
        entries.push(Entry { line, left, top: row * LEGEND_ROW as i32 });
        left += needed;
    }
    (entries, row as usize + 1)
}

fn draw_entry(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    &Entry { line, left, top }: &Entry<'_>,
) -> Result<(), Error> {
    let stroke = line.colour.stroke_width(if line.is_limit { 1 } else { 2 });
    area.draw(&PathElement::new([(left, top + 10), (left + 24, top + 10)], stroke))?;
    if !line.is_limit {
        area.draw(&Circle::new((left + 12, top + 10), 3, line.colour.filled()))?;
    }
    area.draw(&Text::new(line.name.clone(), (left + 32, top + 3), font(14)))?;
    Ok(())
}

/// 20000 as 20k, 1000000 as 1M; what is below one with its decimals.
fn short(value: f64) -> String {
    match value {
        _ if value >= 1e6 => format!("{}M", value / 1e6),
        _ if value >= 1e4 => format!("{}k", value / 1e3),
        _ => value.to_string(),
    }
}
