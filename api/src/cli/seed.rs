//! `souk seed`: demo data, a little or a whole large shop. A signal stops it in order: what has begun is finished, and the
//! same command goes on from there.

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::{Failure, reach, serve};
use crate::{
    config::Config,
    seed::{
        self, Seeded,
        scale::{self, Progress, Scale},
    },
};

/// More would be a mistake.
const MOST: u64 = 100_000_000;

/// What `souk seed` is told.
#[derive(Args)]
pub(super) struct SeedArgs {
    /// Make a large shop, too: so many products, customers and orders
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MOST))]
    scale: Option<u64>,

    /// Products of the large shop [default: as --scale]
    #[arg(long, value_name = "N", requires = "scale", value_parser = clap::value_parser!(u64).range(1..=MOST))]
    products: Option<u64>,

    /// Customers of the large shop [default: as --scale]
    #[arg(long, value_name = "N", requires = "scale", value_parser = clap::value_parser!(u64).range(1..=MOST))]
    customers: Option<u64>,

    /// Orders of the large shop [default: as --scale]
    #[arg(long, value_name = "N", requires = "scale", value_parser = clap::value_parser!(u64).range(0..=MOST))]
    orders: Option<u64>,

    /// What the large shop is drawn by: another number makes another shop beside the first
    #[arg(long, value_name = "SEED", requires = "scale", default_value_t = Scale::DEFAULT_SEED)]
    random_seed: u64,
}

impl SeedArgs {
    fn scale(&self) -> Option<Scale> {
        let scale = Scale::of(self.scale?);
        Some(Scale {
            products: self.products.unwrap_or(scale.products),
            customers: self.customers.unwrap_or(scale.customers),
            orders: self.orders.unwrap_or(scale.orders),
            random_seed: self.random_seed,
        })
    }
}

/// Makes what is missing, and says what that was.
pub(super) async fn run(config: Config, what: SeedArgs) -> Result<(), Failure> {
    reach(&config.database).await?;
    let Some(scale) = what.scale() else {
        let done = seed::run(config).await?;
        eprintln!("souk: {done}");
        return Ok(());
    };
    let (stop, signal) = (CancellationToken::new(), serve::stop_signal()?);
    let told = stop.clone();
    tokio::spawn(async move {
        signal.await;
        told.cancel();
    });
    let done = scale::run(config, scale, &Progress::new(), &stop).await?;
    if done.seeded != Seeded::default() {
        eprintln!("souk: {}", done.seeded);
    }
    if done.stopped {
        return Err(Failure::Stopped);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        what: SeedArgs,
    }

    fn parsed(arguments: &[&str]) -> Result<Option<Scale>, clap::Error> {
        let line = Line::try_parse_from([&["seed"][..], arguments].concat())?;
        Ok(line.what.scale())
    }

    #[test]
    fn a_scale_is_so_many_of_each_unless_something_else_is_said() {
        assert_eq!(parsed(&[]).unwrap(), None);
        assert_eq!(parsed(&["--scale", "500"]).unwrap(), Some(Scale::of(500)));
        let said = [
            "--scale",
            "500",
            "--products",
            "9",
            "--customers",
            "8",
            "--orders",
            "0",
            "--random-seed",
            "7",
        ];
        let expected = Scale {
            products: 9,
            customers: 8,
            orders: 0,
            random_seed: 7,
        };
        assert_eq!(parsed(&said).unwrap(), Some(expected));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for bad in [
            &["--scale", "0"][..],
            &["--scale", "-1"],
            &["--scale", "100000001"],
            &["--scale", "many"],
            &["--products", "5"],
            &["--scale", "5", "--products", "0"],
            &["--scale", "5", "--customers", "0"],
            &["--random-seed", "5"],
        ] {
            assert!(parsed(bad).is_err(), "{bad:?}");
        }
    }
}
