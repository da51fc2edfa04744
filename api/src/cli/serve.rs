//! `souk serve`: the server, until SIGINT or SIGTERM. A second signal, a moment later, ends it at once.

use std::{
    io::{self, Write},
    time::Duration,
};

use super::{Failure, reach, welcome};
use crate::{Application, config::Config, logging};

/// Signals this soon after the first one are the same wish, told by the terminal and by whoever started us.
const SAME_WISH: Duration = Duration::from_secs(1);

/// Serves until a signal asks to stop, then ends in order.
pub(super) async fn run(config: Config) -> Result<(), Failure> {
    logging::init(&config.logging)?;
    // before anything is started, so that a signal in the middle of the start is not lost
    let stop = stop_signal()?;
    reach(&config.database).await?;
    let demo = config.demo();
    let kafka = config.kafka.brokers().is_some();
    let smtp = config.mail.server().is_some();
    let delay = config.payment.payment_delay;
    let application = Application::build(config).await?;
    let addr = application.local_addr().map_err(Failure::Output)?;
    let facts = welcome::Facts {
        demo,
        kafka,
        smtp,
        delay,
    };
    let text = welcome::text(addr, facts);
    // nobody reads it where the output is closed; the server serves all the same
    let _ = io::stdout().write_all(text.as_bytes());
    application.run_until(stop).await?;
    Ok(())
}

/// Ready once the process is asked to stop. Whoever cannot wait for the end then sends another signal.
#[cfg(unix)]
pub(super) fn stop_signal() -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Runtime)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Runtime)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping: finishing what has begun; another signal ends it at once");
        tokio::spawn(async move {
            let since = tokio::time::Instant::now();
            while since.elapsed() < SAME_WISH {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            }
            tracing::warn!("stopped at once");
            // 128 and the number of SIGTERM, as shells say it; what was acknowledged is on disk
            std::process::exit(143);
        });
    })
}

#[cfg(not(unix))]
pub(super) fn stop_signal() -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    Ok(async {
        // without the signal the process ends as the system sees fit
        let _ = tokio::signal::ctrl_c().await;
    })
}
