//! Time, gap and memory against offers and against components of generated markets: tables, and on request a document
//! with pictures.

use std::{fs, path::PathBuf, time::Duration};

use clap::Parser;
use fulcrum_benches::{
    curves::{self, document, measure::Measured, table},
    market::Size,
    published::Error,
};
use peak_alloc::PeakAlloc;

/// Counts what is allocated. It costs less than the noise of the clock.
#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Measures time, gap and memory of composition against the size of generated markets, and prints tables.
#[derive(Debug, Parser)]
struct Arguments {
    /// Sizes of markets, in offers.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000])]
    offers: Vec<usize>,
    /// Sizes of applications, in components.
    #[arg(long, value_delimiter = ',', default_values_t = [5, 10, 20, 40, 60])]
    components: Vec<usize>,
    /// Where chance starts.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Time for each call.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Calls of which each figure is the median.
    #[arg(long, default_value_t = 1)]
    repeat: usize,
    /// Folder for curves.md, curves.csv, curves-unshared.csv, curves-again.csv and img/curves-*.svg.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Draw the pictures of --out again from its curves.csv; nothing is measured.
    #[arg(long, requires = "out")]
    redraw: bool,
}

fn main() -> Result<(), Error> {
    let arguments = Arguments::parse();
    if let (true, Some(folder)) = (arguments.redraw, &arguments.out) {
        return document::draw(folder, &curves::read(&folder.join("curves.csv"))?);
    }
    let limit = Duration::try_from_secs_f64(arguments.seconds)?;
    let (mut points, mut unshared, mut again) = (Vec::new(), Vec::new(), Vec::new());
    for offers in arguments.offers {
        let market = Measured::new(arguments.seed, Size::of(offers))?;
        for components in &arguments.components {
            eprintln!("{} offers, {components} components", table::grouped(offers));
            points.push(market.point(*components, true, limit, arguments.repeat)?);
            unshared.push(market.point(*components, false, limit, arguments.repeat)?);
        }
        eprintln!("{} offers, again after a change", table::grouped(offers));
        again.push(market.again(limit)?);
    }
    let tables = [table::points(&points), table::points(&unshared), table::again(&again)];
    println!("{}", tables.join("\n"));
    if let Some(folder) = arguments.out {
        let about = document::RunDescription {
            command: "make curves".to_owned(),
            seconds: arguments.seconds,
            repeat: arguments.repeat,
            machine: machine(),
            date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
        };
        document::write_all(&folder, &about, &points, &unshared, &again)?;
    }
    Ok(())
}

/// Processor and memory, as far as the system tells.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(file).ok()?;
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let model = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let kib = field("/proc/meminfo", "MemTotal").and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    // What the kernel keeps for itself is missing in it.
    let gib = kib.map_or(String::new(), |kib| format!(", {:.0} GiB", (kib / f64::from(1 << 20)).ceil()));
    format!("{cores} cores {}{gib} ({model})", std::env::consts::ARCH.replace('_', "-"))
}
