//! f
/// F
#[derive(Debug)]
pub struct FakeGateway;
