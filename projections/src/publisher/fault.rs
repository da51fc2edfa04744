//! What an error of Kafka means for the publisher: try again, give way, or ask for an operator.

use eventstore::subscription::HandleError;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// What `error` means, met while `doing` something.
pub(super) fn fault(doing: &str, error: &KafkaError) -> HandleError {
    match error {
        // the value is left out: it may be a secret
        KafkaError::ClientConfig(_, reason, key, _) => {
            HandleError::Stopped(format!("{doing}: Kafka property {key}: {reason}"))
        }
        KafkaError::ClientCreation(_) | KafkaError::AdminOpCreation(_) | KafkaError::Nul(_) => {
            HandleError::Stopped(format!("{doing}: {error}"))
        }
        KafkaError::AdminOp(code) => by_code(doing, *code, &error.to_string()),
        other => match other.rdkafka_error_code() {
            Some(code) => by_code(doing, code, &error.to_string()),
            None => HandleError::Passing(format!("{doing}: {error}")),
        },
    }
}

/// What an error code means, met while `doing` something.
pub(super) fn by_code(doing: &str, code: Code, text: &str) -> HandleError {
    match code {
        Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch => HandleError::Fenced,
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::UnsupportedVersion
        | Code::UnsupportedFeature
        | Code::InvalidConfig
        | Code::InvalidTopic
        | Code::InvalidPartitions
        | Code::InvalidReplicationFactor
        | Code::InvalidTransactionTimeout
        | Code::PolicyViolation
        | Code::MessageSizeTooLarge
        | Code::MessageBatchTooLarge
        | Code::InvalidTimestamp
        | Code::InvalidRecord => HandleError::Stopped(format!("{doing}: {text}")),
        _ => HandleError::Passing(format!("{doing}: {text}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fenced_producer_gives_way() {
        for code in [
            Code::Fenced,
            Code::ProducerFenced,
            Code::InvalidProducerEpoch,
        ] {
            assert!(matches!(
                by_code("committing", code, ""),
                HandleError::Fenced
            ));
        }
    }

    #[test]
    fn what_time_heals_is_tried_again_and_the_rest_is_not() {
        let timeout = KafkaError::MessageProduction(Code::MessageTimedOut);
        assert!(matches!(
            fault("publishing", &timeout),
            HandleError::Passing(_)
        ));
        let forbidden = KafkaError::MessageProduction(Code::TopicAuthorizationFailed);
        assert!(matches!(
            fault("publishing", &forbidden),
            HandleError::Stopped(_)
        ));
    }
}
