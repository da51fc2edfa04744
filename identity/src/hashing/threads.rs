//! The threads that bcrypt works on: as many as passwords are hashed at once, and only while the cores have nothing else
//! to do, since a log-in takes a quarter of a second of a core and everything else a request asks for takes some
//! microseconds. With all cores hashing, other requests would otherwise wait for the scheduler to take turns, at each of
//! the handful of threads and processes that a request wakes one after the other.

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

#[cfg(target_os = "linux")]
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
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

/// On Linux, has the calling thread scheduled as `SCHED_IDLE` (sched(7)): whatever else wakes takes its core at once. A
/// nice thread of the normal policy keeps the core to the end of its slice, some milliseconds. Elsewhere a priority is the
/// whole process's, and stays.
fn give_way() {
    #[cfg(target_os = "linux")]
    {
        let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        let set = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy);
        if let Err(error) = set {
            tracing::warn!(%error, "passwords are hashed at the priority of everything else");
        }
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

    /// As sched(7) numbers it.
    #[cfg(target_os = "linux")]
    const SCHED_IDLE: u32 = 5;

    /// The scheduling policy of the calling thread, as the kernel tells it: the 41st field, by proc_pid_stat(5).
    #[cfg(target_os = "linux")]
    fn policy() -> u32 {
        let told = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        // the second field is a name in parentheses, which may hold anything
        let (_, fields) = told.rsplit_once(')').unwrap();
        fields
            .split_whitespace()
            .nth(41 - 3)
            .unwrap()
            .parse()
            .unwrap()
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn they_give_way_and_nobody_else_does() {
        let before = policy();
        assert_eq!(answer(&threads(1), policy), SCHED_IDLE);
        assert_ne!(before, SCHED_IDLE);
        assert_eq!(policy(), before);
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
