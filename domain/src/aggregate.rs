//! What every aggregate of Souk is: a pure decision and a state built from events.
//!
//! [`Decider`] adds to cqrs-es's `Aggregate` what the sequencer needs: a synchronous `decide` that can be run again
//! against newer state, `evolve` by reference, and the sizes and versions that caches and snapshots go by. The two
//! macros derive the cqrs-es traits from it, so that the same aggregate runs in a `CqrsFramework`.

/// An aggregate whose decisions are pure: same state and command, same answer.
///
/// Rules that every implementation keeps:
/// - a command whose effect is already there yields no events;
/// - a refusal that only the caller needs is an error, one that somebody else must hear of is an event;
/// - `evolve` accepts any history, never fails and never panics.
pub trait Decider:
    cqrs_es::Aggregate<
        Services = (),
        Command: Clone + Send + Sync + 'static,
        Event: 'static,
        Error: Clone + Send + Sync + 'static,
    > + Clone
    + 'static
{
    /// Version of the serialised state; a snapshot of another version is ignored.
    const STATE_VERSION: i32;

    /// Type and version of every event that this binary writes, as stored in the log.
    const EVENTS: &'static [(&'static str, &'static str)];

    /// Earlier versions that this binary reads as well: what came with a later one has its default in them.
    const EARLIER_EVENTS: &'static [(&'static str, &'static str)] = &[];

    /// Whether this binary can read events of that type and version.
    fn reads(event_type: &str, event_version: &str) -> bool {
        let mut known = Self::EVENTS.iter().chain(Self::EARLIER_EVENTS);
        known.any(|known| *known == (event_type, event_version))
    }

    /// The events that follow from `command` in this state, or why it is refused.
    fn decide(&self, command: Self::Command) -> Result<Vec<Self::Event>, Self::Error>;

    /// Takes one event into the state.
    fn evolve(&mut self, event: &Self::Event);

    /// Approximate bytes that the state holds on the heap, for the bounded cache.
    fn weight(&self) -> usize;
}

/// The events of an aggregate.
pub type EventOf<A> = <A as cqrs_es::Aggregate>::Event;

/// Implements [`cqrs_es::Aggregate`] from [`Decider`].
macro_rules! impl_aggregate {
    ($aggregate:ident, $type:expr, $command:ident, $event:ident, $error:ident) => {
        impl cqrs_es::Aggregate for $aggregate {
            const TYPE: &'static str = $type;
            type Command = $command;
            type Event = $event;
            type Error = $error;
            type Services = ();

            async fn handle(
                &mut self,
                command: Self::Command,
                _services: &Self::Services,
                sink: &cqrs_es::event_sink::EventSink<Self>,
            ) -> Result<(), Self::Error> {
                for event in $crate::aggregate::Decider::decide(self, command)? {
                    sink.write(event, self).await;
                }
                Ok(())
            }

            fn apply(&mut self, event: Self::Event) {
                $crate::aggregate::Decider::evolve(self, &event);
            }
        }
    };
}

/// Implements [`cqrs_es::DomainEvent`] for an enum: the variant's name is the event type, its version `1.0` unless
/// given as `Variant @ "1.1"`. A variant that is not listed does not compile.
macro_rules! impl_domain_event {
    ($event:ident { $($variant:ident $(@ $version:literal)?),+ $(,)? }) => {
        impl $event {
            /// Type and version of every event of this enum, as stored in the log.
            pub const CATALOGUE: &'static [(&'static str, &'static str)] =
                &[$((stringify!($variant), impl_domain_event!(@version $($version)?))),+];

            /// Type and version of this event, as stored in the log.
            pub const fn name_and_version(&self) -> (&'static str, &'static str) {
                match self {
                    $(Self::$variant { .. } => (stringify!($variant), impl_domain_event!(@version $($version)?))),+
                }
            }
        }

        impl cqrs_es::DomainEvent for $event {
            fn event_type(&self) -> String {
                self.name_and_version().0.to_owned()
            }

            fn event_version(&self) -> String {
                self.name_and_version().1.to_owned()
            }
        }
    };
    (@version) => { "1.0" };
    (@version $version:literal) => { $version };
}

pub(crate) use {impl_aggregate, impl_domain_event};
