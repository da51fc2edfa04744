//! Changing people, one or many at once: for admins, and for everybody's own profile.
//!
//! Guarantees: each call is one transaction; when one element is refused nothing is done, and every element that is
//! refused is named with its reason. Two that change the same people do so one after the other; a change that changes
//! nothing makes no new version. An admin stays. What people may do counts at once in this process.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
};

use domain::{ids::UserId, product::Change};
use sqlx::PgConnection;

use super::{COLUMNS, NotLeaving, User, assure_an_admin_stays, by_id, joined};
use crate::{
    accounts::{Fault, Identity},
    email::Email,
    person_name::PersonName,
    phone::PhoneNumber,
    postal_address::PostalAddress,
    roles::{Role, Roles},
};

/// What is to change of a person; the rest stays.
#[derive(Clone, Debug, Default)]
pub struct UserChanges {
    /// Their name.
    pub name: Option<PersonName>,
    /// Where mail goes; what they log in with stays.
    pub contact_email: Change<Email>,
    /// Their telephone number.
    pub phone: Change<PhoneNumber>,
    /// Where parcels go.
    pub address: Change<PostalAddress>,
    /// What they are to the shop.
    pub roles: RoleChange,
}

/// What is to change of somebody's roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RoleChange {
    /// Nothing.
    #[default]
    Keep,
    /// They become these.
    Set(Roles),
    /// One more.
    Grant(Role),
    /// One less.
    Revoke(Role),
}

/// A change of one person.
#[derive(Clone, Debug)]
pub struct UserChange {
    /// Of whom.
    pub user_id: UserId,
    /// The version that it was decided on; none for any.
    pub version: Option<i64>,
    /// What changes.
    pub changes: UserChanges,
}

/// Why an element of a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is about the same as an earlier element.
    Repeats {
        /// Index of that one.
        earlier: usize,
    },
    /// The address to log in with belongs to an account already.
    EmailTaken,
    /// There is no such person.
    Missing,
    /// The person was changed since.
    Stale {
        /// The version that they have now.
        current: i64,
    },
    /// There would be no admin any more.
    LastAdmin,
}

/// Why nobody was made, read or changed.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// Elements are refused: their indexes and why. Never empty.
    #[error("elements of the request are refused")]
    Refused(Vec<(usize, Refusal)>),
    /// What goes before it took too long.
    #[error("it was not begun in time")]
    DeadlinePassed,
    /// Not the client's doing.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for UsersError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

impl Identity {
    /// Changes people, all or none, and returns them in the same order.
    pub async fn change_users(&self, changes: &[UserChange]) -> Result<Vec<User>, UsersError> {
        let ids = || changes.iter().map(|change| change.user_id);
        refuse(repeated(ids()))?;
        let mut transaction = self.pool.begin().await?;
        let before = hold(&mut transaction, ids()).await?;
        refuse(
            changes
                .iter()
                .enumerate()
                .filter_map(|(index, change)| {
                    Some((index, unfit(change, before.get(&change.user_id))?))
                })
                .collect(),
        )?;
        let mut after = before.clone();
        for change in changes {
            if let Some(user) = after.get_mut(&change.user_id) {
                change.changes.apply(user);
            }
        }
        assure(&mut transaction, changes, &before, &after).await?;
        let touched: Vec<Touched<'_>> = after
            .values()
            .filter_map(|user| Touched::new(before.get(&user.id)?, user))
            .collect();
        let stored = update(&mut transaction, &touched).await?;
        let committed = transaction.commit().await;
        // also where it is not known whether it was committed
        for user in stored.values() {
            self.standings.forget(user.id);
        }
        committed?;
        after.extend(stored);
        in_order(ids(), after)
    }
}

impl UserChanges {
    /// Makes the person what they will be. Version and time are the database's.
    fn apply(&self, user: &mut User) {
        if let Some(name) = &self.name {
            name.as_str().clone_into(&mut user.name);
        }
        set(&mut user.contact_email, &self.contact_email, Email::as_str);
        set(&mut user.phone, &self.phone, PhoneNumber::as_str);
        set(&mut user.address, &self.address, PostalAddress::as_str);
        user.roles = match self.roles {
            RoleChange::Keep => user.roles,
            RoleChange::Set(roles) => roles,
            RoleChange::Grant(role) => user.roles.with(role),
            RoleChange::Revoke(role) => user.roles.iter().filter(|it| *it != role).collect(),
        };
    }
}

fn set<T>(field: &mut Option<String>, change: &Change<T>, text: fn(&T) -> &str) {
    match change {
        Change::Keep => {}
        Change::Clear => *field = None,
        Change::Set(value) => *field = Some(text(value).to_owned()),
    }
}

/// Nothing is done where an element is refused.
pub(crate) fn refuse(refused: Vec<(usize, Refusal)>) -> Result<(), UsersError> {
    if refused.is_empty() {
        Ok(())
    } else {
        Err(UsersError::Refused(refused))
    }
}

/// The elements that are the same as an earlier one.
pub(crate) fn repeated<T: Hash + Eq>(keys: impl Iterator<Item = T>) -> Vec<(usize, Refusal)> {
    let mut first = HashMap::new();
    keys.enumerate()
        .filter_map(|(index, key)| {
            let earlier = *first.entry(key).or_insert(index);
            (earlier != index).then_some((index, Refusal::Repeats { earlier }))
        })
        .collect()
}

/// The elements that are refused for this reason.
pub(crate) fn positions<T>(
    elements: impl Iterator<Item = T>,
    refused: impl Fn(T) -> bool,
    why: Refusal,
) -> Vec<(usize, Refusal)> {
    elements
        .enumerate()
        .filter_map(|(index, element)| refused(element).then_some((index, why)))
        .collect()
}

/// Why the change does not fit what there is.
fn unfit(change: &UserChange, user: Option<&User>) -> Option<Refusal> {
    let Some(user) = user else {
        return Some(Refusal::Missing);
    };
    let fits = change.version.is_none_or(|version| version == user.version);
    let current = user.version;
    (!fits).then_some(Refusal::Stale { current })
}

/// Refuses those who stop being admins where nobody else is one.
async fn assure(
    connection: &mut PgConnection,
    changes: &[UserChange],
    before: &HashMap<UserId, User>,
    after: &HashMap<UserId, User>,
) -> Result<(), UsersError> {
    let admins = |users: &HashMap<UserId, User>| -> HashSet<UserId> {
        let admins = users
            .values()
            .filter(|user| user.roles.contains(Role::Admin));
        admins.map(|user| user.id).collect()
    };
    let (were, are) = (admins(before), admins(after));
    let leaving: Vec<UserId> = were.difference(&are).copied().collect();
    // who becomes an admin by the same request stays behind
    if leaving.is_empty() || !are.is_empty() {
        return Ok(());
    }
    match assure_an_admin_stays(connection, &leaving).await {
        Ok(()) => Ok(()),
        Err(NotLeaving::Database(error)) => Err(error.into()),
        Err(NotLeaving::LastAdmin) => refuse(positions(
            changes.iter(),
            |change| leaving.contains(&change.user_id),
            Refusal::LastAdmin,
        )),
    }
}

/// The people with these ids, whose rows are held until the transaction ends.
pub(crate) async fn hold(
    connection: &mut PgConnection,
    ids: impl Iterator<Item = UserId>,
) -> Result<HashMap<UserId, User>, sqlx::Error> {
    // always in the same order, so that two of these never wait for each other
    let statement =
        format!("select {COLUMNS} from users where id = any($1) order by id for update");
    let held = sqlx::query_as(&statement)
        .bind(ids.map(|id| id.0).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    Ok(by_id(held))
}

/// A person who is not as before.
struct Touched<'a> {
    user: &'a User,
    /// Names of the roles from now on; none where they stay as they are.
    roles: Option<String>,
}

impl<'a> Touched<'a> {
    fn new(before: &User, after: &'a User) -> Option<Self> {
        (before != after).then(|| Self {
            user: after,
            roles: (before.roles != after.roles).then(|| joined(after.roles)),
        })
    }
}

/// Writes these people as they are, each as its next version. Roles are written only where they change, and those that
/// this binary does not know stay: a newer one has granted them, and only that one takes them away.
async fn update(
    connection: &mut PgConnection,
    touched: &[Touched<'_>],
) -> Result<HashMap<UserId, User>, sqlx::Error> {
    if touched.is_empty() {
        return Ok(HashMap::new());
    }
    let statement = format!(
        "update users
         set name = to_name, contact_email = to_email, phone = to_phone, address = to_address,
             roles = case when to_roles is null then roles else string_to_array(to_roles, ',')
                 || array(select role from unnest(roles) role where role <> all ($7)) end,
             version = version + 1, updated_at = clock_timestamp()
         from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
              as wanted (user_id, to_name, to_email, to_phone, to_address, to_roles)
         where id = user_id
         returning {COLUMNS}"
    );
    let users = || touched.iter().map(|it| it.user);
    let updated = sqlx::query_as(&statement)
        .bind(users().map(|it| it.id.0).collect::<Vec<_>>())
        .bind(users().map(|it| it.name.as_str()).collect::<Vec<_>>())
        .bind(
            users()
                .map(|it| it.contact_email.as_deref())
                .collect::<Vec<_>>(),
        )
        .bind(users().map(|it| it.phone.as_deref()).collect::<Vec<_>>())
        .bind(users().map(|it| it.address.as_deref()).collect::<Vec<_>>())
        .bind(
            touched
                .iter()
                .map(|it| it.roles.as_deref())
                .collect::<Vec<_>>(),
        )
        .bind(Role::ALL.map(Role::as_str).as_slice())
        .fetch_all(connection)
        .await?;
    Ok(by_id(updated))
}

/// The people in the order of these ids, all of whom are there.
pub(crate) fn in_order(
    ids: impl Iterator<Item = UserId>,
    mut users: HashMap<UserId, User>,
) -> Result<Vec<User>, UsersError> {
    ids.map(|id| users.remove(&id))
        .collect::<Option<_>>()
        .ok_or_else(|| sqlx::Error::RowNotFound.into())
}
