//! The threads that bcrypt works on: as many as passwords are hashed at once, and of the lowest priority, since a
//! log-in takes a quarter of a second of a core and everything else a request asks for takes some microseconds. On two
//! cores with both of them hashing, other requests would otherwise wait for the scheduler to take turns.

use std::{
    io,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

type Job = Box<dyn FnOnce() + Send>;

/// Threads that do one job after the other, and end when this is dropped.
#[derive(Clone, Debug)]
pub(super) struct Threads {
    jobs: Sender<Job>,
}

impl Threads {
    /// So many threads, which wait for jobs.
    pub(super) fn start(number: NonZeroUsize) -> io::Result<Self> {
        let (jobs, waiting) = channel();
        let waiting = Arc::new(Mutex::new(waiting));
        for index in 0..number.get() {
            let waiting = Arc::clone(&waiting);
            thread::Builder::new()
                .name(format!("bcrypt-{index}"))
                .spawn(move || work(&waiting))?;
        }
        Ok(Self { jobs })
    }

    /// Has the job done. False where no thread is left to do it.
    pub(super) fn run(&self, job: impl FnOnce() + Send + 'static) -> bool {
        self.jobs.send(Box::new(job)).is_ok()
    }
}

fn work(waiting: &Mutex<Receiver<Job>>) {
    give_way();
    loop {
        // one waits for the next job, the others for it; nobody holds it while working
        let job = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok(job) = job else { return };
        // whoever waits for a job that panicked is told by its channel
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!("a job of the hashing threads panicked");
        }
    }
}

/// The nicest priority that there is.
#[cfg(target_os = "linux")]
const NICEST: i32 = 19;

/// Takes the lowest priority for the calling thread: on Linux a priority is a thread's own, elsewhere it would be the
/// whole process's.
fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICEST) {
        tracing::warn!(%error, "passwords are hashed at the priority of everything else");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::mpsc;

    use super::*;

    fn threads(number: usize) -> Threads {
        Threads::start(NonZeroUsize::new(number).unwrap()).unwrap()
    }

    fn answer<T: Send + 'static>(threads: &Threads, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (tell, told) = mpsc::channel();
        assert!(threads.run(move || tell.send(job()).unwrap()));
        told.recv().unwrap()
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn they_give_way_and_nobody_else_does() {
        let priority = || rustix::process::getpriority_process(None).unwrap();
        let before = priority();
        assert_eq!(answer(&threads(1), priority), NICEST);
        assert_eq!(priority(), before);
    }

    #[test]
    fn a_job_that_panics_takes_no_thread_with_it() {
        let threads = threads(1);
        threads.run(|| panic!("of a test"));
        assert_eq!(answer(&threads, || 7), 7);
    }

    #[test]
    fn as_many_jobs_as_threads_are_done_at_once() {
        let threads = threads(3);
        let together = Arc::new(std::sync::Barrier::new(3));
        let (tell, told) = mpsc::channel();
        for _ in 0..3 {
            let (together, tell) = (together.clone(), tell.clone());
            threads.run(move || {
                together.wait();
                tell.send(()).unwrap();
            });
        }
        (0..3).for_each(|_| told.recv().unwrap());
    }
}
