//! Orders as the bytes that are sent, made before the load begins: only the Idempotency-Key of each is written anew.

use serde_json::json;
use uuid::Uuid;

use super::Plan;
use crate::shop::ADDRESS;

/// Different requests of one connection; then they come again with other keys.
const REQUESTS: usize = 256;

/// The bytes of an Idempotency-Key: sixteen digits that name the connection's run and sixteen that count.
const KEY_BYTES: usize = 32;

/// The requests of one connection.
pub(super) struct Requests {
    in_turn: Vec<Request>,
    run: u64,
    sent: u64,
    buffer: Vec<u8>,
}

struct Request {
    bytes: Vec<u8>,
    key_at: usize,
}

impl Requests {
    /// Those of this connection: which products, follows from the seed; the keys are never those of another.
    pub(super) fn new(plan: &Plan, connection: usize) -> Self {
        let mut random = Random(
            plan.seed
                .wrapping_mul(0x1000)
                .wrapping_add(connection as u64),
        );
        let in_turn = (0..REQUESTS)
            .map(|number| {
                let token = &plan.tokens[(connection * REQUESTS + number) % plan.tokens.len()];
                Request::new(plan, token, &mut random)
            })
            .collect();
        Self {
            in_turn,
            run: Uuid::new_v4().as_u64_pair().0,
            sent: 0,
            buffer: Vec::new(),
        }
    }

    /// The next request, with a key that was never used.
    pub(super) fn next(&mut self) -> &[u8] {
        let request = &self.in_turn[self.sent as usize % REQUESTS];
        self.buffer.clear();
        self.buffer.extend_from_slice(&request.bytes);
        let key = &mut self.buffer[request.key_at..][..KEY_BYTES];
        write_digits(self.run, &mut key[..KEY_BYTES / 2]);
        write_digits(self.sent, &mut key[KEY_BYTES / 2..]);
        self.sent += 1;
        &self.buffer
    }
}

impl Request {
    fn new(plan: &Plan, token: &str, random: &mut Random) -> Self {
        let lines = 1 + random.below(plan.lines);
        let items: Vec<_> = (0..lines)
            .map(|_| &plan.products[random.below(plan.products.len())])
            .map(|product| json!({"product_id": product, "quantity": 1}))
            .collect();
        let body = json!({"items": items, "shipping_address": ADDRESS}).to_string();
        let before = format!(
            "POST /api/v1/orders HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\nidempotency-key: ",
            plan.authority,
            body.len()
        );
        let bytes = [
            before.as_bytes(),
            &[b'0'; KEY_BYTES],
            b"\r\n\r\n",
            body.as_bytes(),
        ]
        .concat();
        Self {
            key_at: before.len(),
            bytes,
        }
    }
}

/// Sixteen hexadecimal digits.
fn write_digits(number: u64, into: &mut [u8]) {
    for (place, digit) in into.iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(number >> (60 - 4 * place)) as usize & 0xf];
    }
}

/// SplitMix64: the same seed chooses the same products.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        (mixed % bound as u64) as usize
    }
}
