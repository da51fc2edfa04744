//! Products as they were read last, shared by all servers: `GET /api/v1/products/{id}` and what else reads one product.
//!
//! # What a read from here promises
//! The same as one from the read model. What is kept of a product is its whole row, stock included: a read that needs
//! the database for the stock would gain nothing, since row and stock are one look-up there. So each change of stock
//! takes a product out, and one that sells all the time is read from the database as if there were no Redis. Lists are not
//! kept: any change of any product would change them.
//!
//! # Why nothing old stays
//! The race is this: a server reads the old row, the product is changed and taken out, the server keeps the old row. It
//! is decided by positions of the log, never by who comes first:
//!
//! - A row is kept with the position that its read model had come to, both read in one statement, so from one moment
//!   (a read model and its checkpoint commit together). So it holds every event of the product up to there.
//! - One subscriber (`product_cache`) takes products out: it follows the log and puts the position of the event in
//!   the product's place (a *mark*), unless what is there is from that position or later. In the same step it notes how
//!   far it has come (`at`).
//! - A row is not kept where the mark, or a row that is there, is from a later position. Marks expire; so a row is not kept
//!   either that is older than `floor`, the position up to which marks may have expired.
//!
//! So whatever row is there: of its product there is no event between its position and `at`. A row older than one of
//! those events was either there before the event, and was taken out; or came after it, and met its mark or the floor. All of
//! it is scripts, which Redis runs one after the other.
//!
//! A client that names a position is answered from here only if the row's position or `at` is not before it.
//!
//! # What if …
//! - **the subscriber dies, or cannot reach Redis or the log:** `at` and `floor` live in a key that it renews every second
//!   as long as it is at the end of the log, and that expires after three. Without it nothing is read or kept.
//! - **Redis loses what it had, or goes back to what it had earlier:** `at` is then not where the subscriber has left it.
//!   It begins another *generation*, in which nothing is kept yet. What Redis went back to is as true as it was then.
//! - **another process takes over, the log is restored, a shop is closed:** another generation.
//! - **a leader was paused, and another has taken over:** a generation carries the epoch of the lease that it was begun under,
//!   and none is begun in place of one of a later epoch. Whoever is refused that ends its lead.
//! - **the read model is rebuilt:** rows name their schema, and those of another are not there.
//! - **a product's key is parked:** its row lags behind the checkpoint, so it is not kept.
//! - **Redis is full:** with `noeviction`, its default, scripts fail, and nothing is read or kept. Other policies may throw
//!   marks away, and then an old row may stay until it expires, after [`ROW_LIFE`].

use std::{collections::BTreeMap, sync::LazyLock, time::Duration};

use domain::ids::ProductId;
use eventstore::position::Position;
use projections::{
    View,
    products::{ProductAsOf, ProductView},
    views::Schema,
};
use redis::Script;
use uuid::Uuid;

use super::link::Link;
use crate::{error::ApiError, extract::MinPosition, state::App};

/// How long a row is kept at most.
pub const ROW_LIFE: Duration = Duration::from_mins(1);
/// How long a mark lasts: several times as long as the floor stays behind.
const MARK_LIFE: Duration = Duration::from_secs(10);
/// How far the floor stays behind: a row that was read longer ago is not kept.
pub(super) const FLOOR_LAG: Duration = Duration::from_secs(2);
/// How long all of it counts without being renewed.
const STATE_LIFE: Duration = Duration::from_secs(3);

static LOOK: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local state = redis.call('HMGET', KEYS[1], 'generation', 'at')
local row = redis.call('HMGET', KEYS[2], 'generation', 'schema', 'position', 'value')
if not state[1] or not row[4] or row[1] ~= state[1] or row[2] ~= ARGV[1] then return false end
return {math.max(tonumber(row[3]), tonumber(state[2])), row[4]}
",
    )
});

static KEEP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local state = redis.call('HMGET', KEYS[1], 'generation', 'floor')
local position = tonumber(ARGV[2])
if not state[1] or position < tonumber(state[2]) then return 0 end
local there = redis.call('HMGET', KEYS[2], 'generation', 'position')
if there[1] == state[1] and tonumber(there[2]) > position then return 0 end
redis.call('HSET', KEYS[2], 'generation', state[1], 'schema', ARGV[1], 'position', ARGV[2], 'value', ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return 1
",
    )
});

static BEGIN: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch and tonumber(epoch) > tonumber(ARGV[4]) then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'generation', ARGV[1], 'at', ARGV[2], 'floor', ARGV[2], 'epoch', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
",
    )
});

static TAKE_OUT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local state = redis.call('HMGET', KEYS[1], 'generation', 'at')
if state[1] ~= ARGV[1] or state[2] ~= ARGV[2] then return 0 end
for i = 2, #KEYS do
    local position = ARGV[4 + i]
    local there = redis.call('HMGET', KEYS[i], 'generation', 'position')
    if there[1] ~= ARGV[1] or tonumber(there[2]) < tonumber(position) then
        redis.call('DEL', KEYS[i])
        redis.call('HSET', KEYS[i], 'generation', ARGV[1], 'position', position)
        redis.call('PEXPIRE', KEYS[i], ARGV[5])
    end
end
redis.call('HSET', KEYS[1], 'at', ARGV[3], 'floor', ARGV[4])
return 1
",
    )
});

static RENEW: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local state = redis.call('HMGET', KEYS[1], 'generation', 'at')
if state[1] ~= ARGV[1] or state[2] ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'floor', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
",
    )
});

static END: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
",
    )
});

/// A stretch of the log, whose events are taken out together.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    /// Where the one before it ended.
    pub after: Position,
    /// Its last event.
    pub to: Position,
    /// Up to where marks may have expired.
    pub floor: Position,
}

/// What became of a generation that was to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It has.
    Yes,
    /// It has not: there is one of somebody who took the lease later.
    Overtaken,
    /// Redis did not say.
    Away,
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct ProductCache {
    link: Link,
    state: String,
    rows: String,
}

impl ProductCache {
    pub(super) fn new(link: Link, prefix: &str) -> Self {
        Self {
            link,
            state: format!("{prefix}:products"),
            rows: format!("{prefix}:product"),
        }
    }

    fn row(&self, id: Uuid) -> String {
        format!("{}:{id}", self.rows)
    }

    /// The product, if it is here as the read model of this schema has it, and holds all that happened to it up to `least`.
    pub async fn look(
        &self,
        schema: &Schema,
        id: ProductId,
        least: Position,
    ) -> Option<ProductView> {
        let mut script = LOOK.key(&self.state);
        script.key(self.row(id.0)).arg(schema.as_str());
        let found: Option<(i64, Vec<u8>)> = self.link.run(&script).await?;
        let (position, value) = found?;
        if Position(position) < least {
            return None;
        }
        // one that another version of this program has written may not be readable
        serde_json::from_slice(&value).ok()
    }

    /// Keeps a product that was read, unless it has changed since. Returns whether it is kept.
    pub async fn keep(&self, schema: &Schema, read: &ProductAsOf) -> bool {
        if read.parked {
            return false;
        }
        let Ok(value) = serde_json::to_vec(&read.product) else {
            return false;
        };
        let mut script = KEEP.key(&self.state);
        script
            .key(self.row(read.product.product_id.0))
            .arg(schema.as_str())
            .arg(read.position.0)
            .arg(value)
            .arg(milliseconds(ROW_LIFE));
        self.link.run(&script).await == Some(1)
    }

    /// Begins a generation, in which nothing is kept yet, under a lease of this epoch.
    pub async fn begin(&self, generation: &str, epoch: i64, at: Position) -> Begun {
        let mut script = BEGIN.key(&self.state);
        script
            .arg(generation)
            .arg(at.0)
            .arg(milliseconds(STATE_LIFE))
            .arg(epoch);
        match self.link.run_behind(&script).await {
            Some(1) => Begun::Yes,
            Some(_) => Begun::Overtaken,
            None => Begun::Away,
        }
    }

    /// Takes out what has changed in a stretch of the log, each with the position of its last change. Not done where the
    /// generation is another, or not at the beginning of the stretch. Returns whether it is done, as with all of the
    /// following.
    pub async fn take_out(
        &self,
        generation: &str,
        stretch: Stretch,
        changed: &BTreeMap<Uuid, Position>,
    ) -> bool {
        let mut script = TAKE_OUT.key(&self.state);
        script
            .arg(generation)
            .arg(stretch.after.0)
            .arg(stretch.to.0)
            .arg(stretch.floor.0)
            .arg(milliseconds(MARK_LIFE));
        for (id, position) in changed {
            script.key(self.row(*id)).arg(position.0);
        }
        self.link.run_behind(&script).await == Some(1)
    }

    /// Says that the generation goes on, at this position.
    pub async fn renew(&self, generation: &str, at: Position, floor: Position) -> bool {
        let mut script = RENEW.key(&self.state);
        script
            .arg(generation)
            .arg(at.0)
            .arg(floor.0)
            .arg(milliseconds(STATE_LIFE));
        self.link.run_behind(&script).await == Some(1)
    }

    /// Ends the generation, so that nothing is read while nobody takes anything out.
    pub async fn end(&self, generation: &str) -> bool {
        let mut script = END.key(&self.state);
        script.arg(generation);
        self.link.run_behind(&script).await == Some(1)
    }
}

fn milliseconds(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

impl App {
    /// A product, also one that is not shown: from where servers share it if it is there, otherwise from the read model,
    /// which the caller has waited for.
    pub async fn product(
        &self,
        id: ProductId,
        MinPosition(position): MinPosition,
    ) -> Result<Option<ProductView>, ApiError> {
        let Some(cache) = &self.products else {
            return Ok(self.read_models.product(id).await?);
        };
        let schema = self.read_models.schema(View::Products).await?;
        let least = position.map_or(Position::START, |head| head.position);
        if let Some(product) = cache.look(&schema, id, least).await {
            return Ok(Some(product));
        }
        let Some(read) = self.read_models.product_as_of(&schema, id).await? else {
            return Ok(None);
        };
        cache.keep(&schema, &read).await;
        Ok(Some(read.product))
    }
}
