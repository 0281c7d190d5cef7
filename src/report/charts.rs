//! The charts, as SVG text. Each is drawn twice, for wide and for narrow screens.
//!
//! Colours here are those of the light theme, and also marks: the style sheet selects what has them
//! and recolours it for the dark theme. Text has no font of its own but the page's, so its width is
//! only guessed.
//!
//! Temperature: cold.

use anyhow::Result;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::LatencyPoint;
use super::amount::{self, in_ether};
use super::axis::{Axis, text_px};
use super::bins::Bins;
use super::tally::{Outcome, Series};

const GRID: RGBColor = RGBColor(0xE4, 0xE7, 0xEA);
const ZERO: RGBColor = RGBColor(0x9A, 0xA2, 0xAB);
const LABEL: RGBColor = RGBColor(0x59, 0x61, 0x6A);
const FOUND: RGBColor = RGBColor(0x86, 0x8E, 0x96);
const CONTESTED: RGBColor = RGBColor(0xC0, 0x7F, 0x00);
const WON: RGBColor = RGBColor(0x0B, 0x7A, 0x75);
const LOST: RGBColor = RGBColor(0xB9, 0x3A, 0x1E);
/// Of strategies, in the order of [`for_charts`](super::tally::for_charts).
const SERIES: [RGBColor; 5] = [
    RGBColor(0x3B, 0x4B, 0xA6),
    RGBColor(0xE2, 0x60, 0x1F),
    RGBColor(0x9D, 0x57, 0xCB),
    RGBColor(0x88, 0x06, 0x32),
    RGBColor(0x6B, 0x73, 0x7C),
];

/// The backend draws text at 1 / 1.24 of the size that it is told: this becomes 12 pixels.
const FONT_SIZE: f64 = 12.0 * 1.24;
/// Between the axis and its labels.
const TICK_PX: i32 = 4;
/// Above the plot, for what stands on top of a bar.
const ABOVE_PX: u32 = 20;
/// Below the plot, for the labels.
const BELOW_PX: u32 = 24;
const AROUND_PX: u32 = ABOVE_PX + BELOW_PX;
/// What a legend takes.
const LEGEND_PX: u32 = 30;
/// A strategy's part of a chart, and each of its three bars.
const BAND_PX: u32 = 64;
const BAR_PX: f64 = 17.0;

/// A drawing's size in pixels.
#[derive(Clone, Copy, Debug)]
struct Size {
    width: u32,
    height: u32,
}

/// Over the page's whole width.
const FULL: Size = Size { width: 1136, height: 300 };
/// Beside another one.
const HALF: Size = Size { width: 540, height: 260 };
/// On a narrow screen.
const NARROW: Size = Size { width: 352, height: 240 };

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Plot<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<Axis, Axis>>;

/// A chart in both variants; the style sheet shows one of them.
fn both(wide: Size, narrow: Size, paint: impl Fn(&Area<'_>, Size) -> Result<()>) -> Result<String> {
    let mut out = String::new();
    for (class, size) in [("wide", wide), ("narrow", narrow)] {
        let mut svg = String::new();
        let area = SVGBackend::with_string(&mut svg, (size.width, size.height)).into_drawing_area();
        paint(&area, size)?;
        area.present()?;
        drop(area);
        out.extend(["<div class=\"", class, "\">", &svg, "</div>\n"]);
    }
    Ok(out)
}

/// The room around the plot, in pixels.
#[derive(Clone, Copy, Debug)]
struct Room {
    left: f64,
    right: f64,
}

impl Room {
    /// As the labels of these axes need it.
    fn of(x: &Axis, y: &Axis) -> Self {
        // At both ends, half of a label stands out.
        let half = x.label_px() / 2.0;
        Self { left: half.max(y.label_px() + f64::from(3 * TICK_PX)), right: half.max(28.0) }
    }

    /// What is left for the plot.
    fn plot_px(self, size: Size) -> f64 {
        (f64::from(size.width) - self.left - self.right).max(1.0)
    }
}

/// Where grid lines are.
#[derive(Clone, Copy, Debug)]
enum Grid {
    Across,
    Upright,
}

/// Axes, grid and labels.
fn plot<'a>(area: &Area<'a>, room: Room, x: &Axis, y: &Axis, grid: Grid) -> Result<Plot<'a>> {
    let mut chart = ChartBuilder::on(area)
        .margin_top(ABOVE_PX)
        .margin_right(room.right)
        .x_label_area_size(BELOW_PX)
        .y_label_area_size(room.left)
        .build_cartesian_2d(x.clone(), y.clone())?;
    let mut mesh = chart.configure_mesh();
    match grid {
        Grid::Across => mesh.disable_x_mesh(),
        Grid::Upright => mesh.disable_y_mesh(),
    };
    mesh.bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .axis_style(TRANSPARENT)
        .label_style(text(Pos::default()))
        .set_all_tick_mark_size(TICK_PX)
        .draw()?;
    Ok(chart)
}

fn text(pos: Pos) -> TextStyle<'static> {
    ("sans-serif", FONT_SIZE).with_color(LABEL).into_text_style(&(0, 0)).pos(pos)
}

fn above() -> TextStyle<'static> {
    text(Pos::new(HPos::Center, VPos::Bottom))
}

fn line_at_zero(chart: &mut Plot<'_>, from: (f64, f64), to: (f64, f64)) -> Result<()> {
    chart.draw_series([PathElement::new(vec![from, to], ZERO)])?;
    Ok(())
}

/// Where a sum stands, over time.
struct Steps {
    points: Vec<(f64, f64)>,
}

impl Steps {
    /// Of the plans that won, in the order of their blocks, up to the last moment of the axis. A
    /// chart has only so many columns: of the steps within one, the last stands.
    fn of(series: &Series<'_>, x: &Axis, columns: f64) -> Self {
        let mut won: Vec<_> =
            series.plans.iter().filter(|plan| Outcome::of(plan) == Outcome::Won).collect();
        won.sort_by_key(|plan| (plan.timestamp, plan.block));
        let column = |time: f64| ((time - x.low) / (x.high - x.low) * columns).floor();
        let mut sums: Vec<(f64, i128)> = Vec::new();
        let mut sum = 0_i128;
        for plan in won {
            sum = sum.saturating_add(plan.profit_wei);
            let time = plan.timestamp as f64;
            match sums.last_mut() {
                Some(last) if column(last.0) >= column(time) => last.1 = sum,
                _ => sums.push((time, sum)),
            }
        }
        let mut points = vec![(x.low, 0.0)];
        let mut level = 0.0;
        for (time, sum) in sums {
            points.push((time, level));
            level = in_ether(sum);
            points.push((time, level));
        }
        points.push((x.high, level));
        Self { points }
    }

    fn end(&self) -> (f64, f64) {
        self.points.last().copied().unwrap_or_default()
    }
}

/// What the plans that won add up to over time, a line for each strategy.
pub(super) fn cumulative(series: &[Series<'_>], first: u64, last: u64) -> Result<String> {
    let narrow = Size { height: 260, ..NARROW };
    both(FULL, narrow, |area, size| {
        let x = Axis::times(first, last, size.width / 110);
        let columns = f64::from(size.width);
        let coloured = series.iter().zip(SERIES).filter(|(series, _)| series.tally.won > 0);
        let lines: Vec<_> = coloured.map(|(one, c)| (Steps::of(one, &x, columns), c)).collect();
        let levels = lines.iter().flat_map(|(line, _)| line.points.iter().map(|(_, level)| *level));
        let y = Axis::amounts(levels, 5);
        let room = Room::of(&x, &y);
        let x = x.thinned(room.plot_px(size), 0);
        let mut chart = plot(area, room, &x, &y, Grid::Across)?;
        line_at_zero(&mut chart, (x.low, 0.0), (x.high, 0.0))?;
        for (line, colour) in lines.into_iter().rev() {
            let end = line.end();
            chart.draw_series(LineSeries::new(line.points, colour.stroke_width(2)))?;
            chart.draw_series([Circle::new(end, 4, colour.filled())])?;
        }
        Ok(())
    })
}

fn height_of_bands(series: &[Series<'_>]) -> u32 {
    series.iter().fold(AROUND_PX, |height, _| height + BAND_PX)
}

/// Plans found, contested and won, three bars for each strategy.
pub(super) fn outcomes(series: &[Series<'_>]) -> Result<String> {
    let bands = series.len() as f64;
    let height = height_of_bands(series);
    let wide = Size { height: height.max(HALF.height - LEGEND_PX), ..HALF };
    both(wide, Size { height, ..NARROW }, |area, size| {
        let name_chars_max = if size.width > NARROW.width { 22 } else { 12 };
        let names = series.iter().map(|series| clipped(&series.name, name_chars_max));
        let names = (0_u32..).map(|index| -f64::from(index) - 0.5).zip(names).collect();
        let y = Axis::new(-bands, 0.0, names);
        let most = series.iter().map(|series| series.tally.found).max().unwrap_or_default();
        let x = Axis::counts(most, 5);
        let room = Room { right: 16.0 + text_px(&amount::count(most)), ..Room::of(&x, &y) };
        let x = x.thinned(room.plot_px(size), 0);
        let mut chart = plot(area, room, &x, &y, Grid::Upright)?;
        let thickness = BAR_PX * bands / f64::from(size.height.saturating_sub(AROUND_PX).max(1));
        for (index, tally) in (0_u32..).zip(series.iter().map(|series| &series.tally)) {
            let bars = [(tally.found, FOUND), (tally.contested, CONTESTED), (tally.won, WON)];
            for (place, (count, colour)) in [-1.5, -0.5, 0.5].into_iter().zip(bars) {
                let top = -f64::from(index) - 0.5 - place * thickness;
                let corners = [(0.0, top), (count as f64, top - 0.92 * thickness)];
                chart.draw_series([Rectangle::new(corners, colour.filled())])?;
                let end = (count as f64, top - 0.46 * thickness);
                let beside = text(Pos::new(HPos::Left, VPos::Center));
                let label = EmptyElement::at(end) + Text::new(amount::count(count), (6, 0), beside);
                chart.draw_series([label])?;
            }
        }
        line_at_zero(&mut chart, (0.0, y.low), (0.0, 0.0))
    })
}

fn clipped(name: &str, chars_max: usize) -> String {
    match name.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", name.get(..end).unwrap_or_default().trim_end()),
        None => name.to_owned(),
    }
}

/// How many of the plans that won brought how much. It stands beside the outcomes of these series.
pub(super) fn distribution(bins: &Bins, series: &[Series<'_>]) -> Result<String> {
    let height = HALF.height.max(height_of_bands(series) + LEGEND_PX);
    both(Size { height, ..HALF }, NARROW, |area, size| {
        let edges = (0_u32..).zip(0..=bins.counts.len());
        let edges = edges.map(|(at, index)| (f64::from(at), bins.edge(index))).collect();
        let x = Axis::new(0.0, bins.counts.len() as f64, edges);
        let most = bins.counts.iter().max().copied().unwrap_or_default();
        let y = Axis::counts(most, 4);
        let room = Room::of(&x, &y);
        let x = x.thinned(room.plot_px(size), bins.losses);
        let mut chart = plot(area, room, &x, &y, Grid::Across)?;
        // One bin alone would fill the whole width.
        let bar_px = room.plot_px(size) / bins.counts.len() as f64;
        let inset = (0.5 - 48.0 / bar_px).max(1.5 / bar_px);
        for (index, (at, count)) in (0_u32..).zip(&bins.counts).enumerate() {
            let (at, top) = (f64::from(at), *count as f64);
            let colour = if index < bins.losses { LOST } else { WON };
            let corners = [(at + inset, 0.0), (at + 1.0 - inset, top)];
            chart.draw_series([Rectangle::new(corners, colour.filled())])?;
            let label = amount::count(*count);
            if *count > 0 && text_px(&label) < bar_px {
                let label = EmptyElement::at((at + 0.5, top)) + Text::new(label, (0, -2), above());
                chart.draw_series([label])?;
            }
        }
        line_at_zero(&mut chart, (0.0, 0.0), (x.high, 0.0))
    })
}

/// What would have been earned, against how much slower.
pub(super) fn latency(points: &[LatencyPoint]) -> Result<String> {
    let mut points: Vec<_> =
        points.iter().map(|point| (point.slower_ms, in_ether(point.profit_wei))).collect();
    points.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    // The first milliseconds matter most; zero has no logarithm.
    let scaled = |ms: u32| f64::from(ms).ln_1p();
    both(HALF, NARROW, |area, size| {
        let ticks: Vec<_> = points.iter().map(|(ms, _)| (scaled(*ms), ms.to_string())).collect();
        let ends = [ticks.first(), ticks.last()].map(|tick| tick.map_or(0.0, |tick| tick.0));
        let x = match ends {
            [low, high] if low < high => Axis::new(low, high, ticks),
            [low, _] => Axis::new(low - 1.0, low + 1.0, ticks),
        };
        let y = Axis::amounts(points.iter().map(|(_, profit)| *profit), 5);
        let room = Room::of(&x, &y);
        let x = x.thinned(room.plot_px(size), 0);
        let mut chart = plot(area, room, &x, &y, Grid::Across)?;
        let line: Vec<_> = points.iter().map(|(ms, profit)| (scaled(*ms), *profit)).collect();
        chart.draw_series(AreaSeries::new(line.iter().copied(), 0.0, WON.mix(0.12)))?;
        line_at_zero(&mut chart, (x.low, 0.0), (x.high, 0.0))?;
        chart.draw_series(LineSeries::new(line.iter().copied(), WON.stroke_width(2)))?;
        chart.draw_series(line.iter().map(|point| Circle::new(*point, 4, WON.filled())))?;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_is_one_that_the_style_sheet_knows() {
        let style = include_str!("style.css");
        let inks = [GRID, ZERO, LABEL, FOUND, CONTESTED, WON, LOST];
        for RGBColor(r, g, b) in inks.into_iter().chain(SERIES) {
            let mark = format!("=\"#{r:02X}{g:02X}{b:02X}\"]");
            assert!(style.contains(&mark), "{mark} is not in style.css");
        }
    }

    #[test]
    fn a_long_name_is_clipped_between_characters() {
        assert_eq!(clipped("añejo-cycles", 4), "añej…");
        assert_eq!(clipped("short", 5), "short");
    }
}
