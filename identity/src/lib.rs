//! Identity: who uses the shop, how they sign in, and what they may do. Ordinary tables, no events.
//!
//! - [`users`] is what a person is, the module of the table `users`. [`credentials`] and what follows from them is how
//!   people sign in, the module of `credentials`, `refresh_tokens`, `spent_refresh_tokens`, `one_time_codes`,
//!   `code_requests`, `mails`, `api_keys` and `known_addresses`. No statement reads or writes tables of both, so that
//!   they can be served apart. What is one transaction over both is the creation of an account ([`accounts`]) and its
//!   end ([`closing`], with the table `account_closures`). A test reads the sources for that.
//! - [`roles`] and [`permissions`]: one table says which role may do what; nothing else in Souk decides by role.
//! - [`tokens`] signs and verifies access tokens, [`sessions`] keeps somebody logged in, [`standing`] knows what they may
//!   do now; [`hashing`] keeps bcrypt off the async threads.
//! - [`api_keys`] is what programs send instead of an access token.
//! - [`closing`] accounts deletes all of this at once, and says whose key in the event store is to go.
//! - [`codes`] by e-mail prove that an address is one's own, and open the way to a new password ([`passwords`] is for those
//!   who know the old one); [`mail`] keeps what is to be sent, sealed.
//! - [`email`], [`password`], [`person_name`], [`phone`], [`postal_address`]: input parsed once, then trusted.
//!
//! Used by `api` through the facade [`Identity`]. Guarantees: no password and no token is ever printed, personal data
//! is not in `Debug` output, and an unknown address cannot be told from a wrong password by answer or by time.

pub mod accounts;
pub mod api_keys;
pub mod closing;
pub mod codes;
pub mod credentials;
pub mod email;
pub mod hashing;
pub mod known_addresses;
pub mod mail;
pub mod password;
pub mod passwords;
pub mod permissions;
pub mod person_name;
pub mod phone;
pub mod postal_address;
mod removal;
pub mod roles;
pub mod sessions;
pub mod standing;
pub mod tokens;
pub mod users;

pub use accounts::{
    AuthenticateError, Fault, Identity, LogInError, LoggedIn, NewAccount, RefreshError,
    RegisterError,
    create::NewUser,
    many::{DemoUser, Ensured},
};
pub use api_keys::{ApiKey, ApiKeyText, ApiKeys, CreateApiKeyError, NewApiKey};
pub use closing::{CloseOwnError, Closure, ClosureFilter, ClosureSort, DueClosure};
pub use codes::{CodeError, CodeSettings, Codes, Purpose};
pub use email::{Email, InvalidEmail};
pub use hashing::{HasherNotStarted, HashingError, HashingSettings, PasswordHash, PasswordHasher};
pub use known_addresses::{AddressDigest, AddressDigests};
pub use mail::{Mail, MailKind, MailSort, Mails, Opened};
pub use password::{InvalidPassword, Password};
pub use passwords::ChangePasswordError;
pub use permissions::{Means, Permission, Permissions, Principal, UnknownPermission};
pub use person_name::{InvalidPersonName, PersonName};
pub use phone::{InvalidPhoneNumber, PhoneNumber};
pub use postal_address::{InvalidPostalAddress, PostalAddress};
pub use roles::{Role, Roles, UnknownRole};
pub use sessions::{RefreshToken, SessionSettings};
pub use tokens::{
    AccessToken, AccessTokens, PublicKey, SigningError, Subject, TokenError, TokenKeys, TokenKind,
    TokenSettings, UnfitKeys, WeakSecret,
};
pub use users::{
    User,
    change::{Refusal, RoleChange, UserChange, UserChanges, UsersError},
    list::{UserFilter, UserSort},
};
