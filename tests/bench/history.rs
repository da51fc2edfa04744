//! A long history, written in bulk: orders that were placed, paid and sold, each a copy of one that the product made.
//!
//! Every stream is valid: sequences are dense, ids are those that the domain would derive, and states can be loaded from
//! it. Only what nothing rests on is the same in every copy: the customer, the times, the amounts that are left.

use commands::payments::NextCall;
use domain::{
    ids::{OrderId, PaymentId, ProductId},
    inventory, payment,
    text::Reference,
};
use eventstore::event::RecordedEvent;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::{
    env::Outcome,
    shop::{Shop, request},
};

/// Orders written by one statement.
const ORDERS_PER_CHUNK: usize = 10_000;

/// Copies of the events with another order, payment and product in it, after what is there of the log and of each
/// inventory. The order of rows is the order of positions.
const COPY: &str = "with copies as (
        select o.n, o.order_id, o.payment_id, o.product_id, o.sequence, t.*
        from unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) with ordinality
                as o (order_id, payment_id, product_id, sequence, n)
            cross join unnest($5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[], $10::text[]) with ordinality
                as t (aggregate_type, place, event_type, event_version, payload, metadata, m))
    insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata,
                        position, event_id, recorded_at)
    select c.aggregate_type,
           case c.aggregate_type when $11 then c.product_id when $12 then c.payment_id else c.order_id end,
           case c.aggregate_type when $11 then c.sequence + c.place else c.place end,
           c.event_type, c.event_version,
           replace(replace(replace(c.payload, $13, c.order_id), $14, c.payment_id), $15, c.product_id)::json,
           replace(c.metadata, $13, c.order_id)::json,
           $16::bigint + (c.n - 1) * cardinality($5::text[]) + c.m, gen_random_uuid(), now()
    from copies c order by c.n, c.m";

/// The key of each copy, at its second event: that of the stock, as the append writes it.
const COPY_KEYS: &str = "insert into idempotency_keys (id, fingerprint, status, resource, position, recorded_at)
    select gen_random_uuid(), decode(repeat('07', 32), 'hex'), 201, o.order_id, $2::bigint + (o.n - 1) * $3 + 2, now()
    from unnest($1::text[]) with ordinality as o (order_id, n)";

/// Events of one order, from placed to sold, and whose they are.
struct Template {
    order_id: OrderId,
    product_id: ProductId,
    events: Vec<RecordedEvent>,
}

/// Writes a history of at least so many events, over the products of the shop. The shop has to be opened again
/// afterwards: it does not know of them.
pub(crate) async fn fill(shop: &Shop, events: usize) -> Outcome<()> {
    let template = sell_one(shop).await?;
    let of_inventory = |event: &&RecordedEvent| &*event.aggregate_type == inventory::TYPE;
    let per_product = template.events.iter().filter(of_inventory).count() as i64;
    let mut sequences = inventories(shop).await?;
    let mut connection = shop.log.pool().acquire().await?.detach();
    let mut position = shop.log.head().await?.position.0;
    let mut left = events.div_ceil(template.events.len());
    let mut turn = 0;
    while left > 0 {
        let mut chunk = Chunk::default();
        for _ in 0..left.min(ORDERS_PER_CHUNK) {
            let index = turn % shop.products.len();
            chunk.push(shop.products[index], sequences[index]);
            sequences[index] += per_product;
            turn += 1;
        }
        left -= chunk.order_ids.len();
        template.copy(&chunk, position, &mut connection).await?;
        position += (chunk.order_ids.len() * template.events.len()) as i64;
    }
    // what autovacuum and the checkpointer would do in the quiet after it
    sqlx::raw_sql("vacuum (analyze) events")
        .execute(&mut connection)
        .await?;
    sqlx::raw_sql("vacuum (analyze) idempotency_keys")
        .execute(&mut connection)
        .await?;
    sqlx::raw_sql("checkpoint").execute(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

/// Sells one piece through the product.
async fn sell_one(shop: &Shop) -> Outcome<Template> {
    let product_id = shop.products[0];
    let before = shop.log.head().await?;
    let order_id = shop.place(0, product_id).await?.ok_or("sold out at once")?;
    let next = shop
        .commands
        .advance_payment(request("StartPayment").cause, order_id)
        .await?;
    let NextCall::Charge(attempt) = next.output else {
        return Err("a new order has nothing to charge".into());
    };
    let reference = Reference::parse("ch_0123456789abcdef")?;
    shop.commands
        .confirm_payment(
            request("ConfirmPayment").cause,
            &attempt,
            reference,
            attempt.amount,
        )
        .await?;
    let events = shop.log.feed().read_after(before, 100).await?;
    Ok(Template {
        order_id,
        product_id,
        events: events.iter().map(|event| (**event).clone()).collect(),
    })
}

/// The last sequence of each product's inventory.
async fn inventories(shop: &Shop) -> Outcome<Vec<i64>> {
    let products: Vec<String> = shop.products.iter().map(ToString::to_string).collect();
    Ok(sqlx::query_scalar(
        "select (select max(sequence) from events where aggregate_type = $1 and aggregate_id = p.id) \
         from unnest($2::text[]) with ordinality as p (id, n) order by p.n",
    )
    .bind(inventory::TYPE)
    .bind(products)
    .fetch_all(shop.log.pool())
    .await?)
}

/// Which copies are to be made.
#[derive(Default)]
struct Chunk {
    order_ids: Vec<String>,
    payment_ids: Vec<String>,
    product_ids: Vec<String>,
    sequences: Vec<i64>,
}

impl Chunk {
    fn push(&mut self, product_id: ProductId, sequence: i64) {
        let order_id = OrderId(Uuid::now_v7());
        self.order_ids.push(order_id.to_string());
        self.payment_ids.push(PaymentId::of(order_id).to_string());
        self.product_ids.push(product_id.to_string());
        self.sequences.push(sequence);
    }
}

impl Template {
    /// Writes the copies of a chunk after `position`.
    async fn copy(
        &self,
        chunk: &Chunk,
        position: i64,
        connection: &mut PgConnection,
    ) -> Outcome<()> {
        let column =
            |of: fn(&RecordedEvent) -> &str| -> Vec<&str> { self.events.iter().map(of).collect() };
        let mut transaction = connection.begin().await?;
        sqlx::query(COPY)
            .bind(&chunk.order_ids)
            .bind(&chunk.payment_ids)
            .bind(&chunk.product_ids)
            .bind(&chunk.sequences)
            .bind(column(|event| &event.aggregate_type))
            .bind(self.places())
            .bind(column(|event| &event.event_type))
            .bind(column(|event| &event.event_version))
            .bind(column(|event| &event.payload))
            .bind(column(|event| &event.metadata))
            .bind(inventory::TYPE)
            .bind(payment::TYPE)
            .bind(self.order_id.to_string())
            .bind(PaymentId::of(self.order_id).to_string())
            .bind(self.product_id.to_string())
            .bind(position)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(COPY_KEYS)
            .bind(&chunk.order_ids)
            .bind(position)
            .bind(self.events.len() as i64)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The place of each event among those of its stream, from 1.
    fn places(&self) -> Vec<i64> {
        let place = |(index, event): (usize, &RecordedEvent)| {
            let before = &self.events[..index];
            1 + before
                .iter()
                .filter(|other| other.stream() == event.stream())
                .count() as i64
        };
        self.events.iter().enumerate().map(place).collect()
    }
}
