//! Category: what products are grouped by, such as "Shirts".
//!
//! A deleted category is shown no more and takes no new products; those that are in it stay as they are. Its stream id is
//! the [`CategoryId`]. That a title is unique among the categories that are shown is kept by a unique key in the append,
//! since it spans streams.

use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Decider, impl_aggregate, impl_domain_event},
    ids::CategoryId,
    text::Title,
};

/// Aggregate type of categories in the log.
pub const TYPE: &str = "category";

/// What happened to a category.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum CategoryEvent {
    /// A category was made.
    CategoryCreated {
        /// Which.
        category_id: CategoryId,
        /// Its name.
        title: Title,
    },
    /// It has another name.
    CategoryRenamed {
        /// Its name from now on.
        title: Title,
        /// Its name until now.
        previous: Title,
    },
    /// It is shown no more.
    CategoryDeleted {},
}

impl_domain_event!(CategoryEvent {
    CategoryCreated,
    CategoryRenamed,
    CategoryDeleted
});

/// A category as its events tell; empty until it is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Category {
    created: Option<CategoryDetails>,
}

/// A category that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CategoryDetails {
    /// Which.
    pub category_id: CategoryId,
    /// Its name.
    pub title: Title,
    /// Whether it was deleted.
    pub deleted: bool,
}

impl Category {
    /// The category, once made, also when it was deleted since.
    pub const fn details(&self) -> Option<&CategoryDetails> {
        self.created.as_ref()
    }

    /// The category, when it is shown and takes products.
    pub fn shown(&self) -> Result<&CategoryDetails, CategoryError> {
        match &self.created {
            None => Err(CategoryError::NotFound),
            Some(category) if category.deleted => Err(CategoryError::Deleted),
            Some(category) => Ok(category),
        }
    }
}

/// What can be asked of a category.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CategoryCommand {
    /// Make a new one.
    CreateCategory {
        /// Which.
        category_id: CategoryId,
        /// Its name.
        title: Title,
    },
    /// Call it by another name.
    RenameCategory {
        /// Its name from now on.
        title: Title,
    },
    /// Show it no more.
    DeleteCategory,
}

/// Why a category refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CategoryError {
    /// There is no such category.
    #[error("the category does not exist")]
    NotFound,
    /// It was deleted.
    #[error("the category was deleted")]
    Deleted,
    /// The id is taken by another category.
    #[error("the category exists already")]
    AlreadyExists,
}

impl_aggregate!(
    Category,
    TYPE,
    CategoryCommand,
    CategoryEvent,
    CategoryError
);

impl Decider for Category {
    const STATE_VERSION: i32 = 1;
    const EVENTS: &'static [(&'static str, &'static str)] = CategoryEvent::CATALOGUE;

    fn decide(&self, command: CategoryCommand) -> Result<Vec<CategoryEvent>, CategoryError> {
        match command {
            CategoryCommand::CreateCategory { category_id, title } => match &self.created {
                None => Ok(vec![CategoryEvent::CategoryCreated { category_id, title }]),
                Some(category) if category.deleted => Err(CategoryError::Deleted),
                Some(category)
                    if (category.category_id, &category.title) == (category_id, &title) =>
                {
                    Ok(vec![])
                }
                Some(_) => Err(CategoryError::AlreadyExists),
            },
            CategoryCommand::RenameCategory { title } => {
                let category = self.shown()?;
                if category.title == title {
                    return Ok(vec![]);
                }
                let previous = category.title.clone();
                Ok(vec![CategoryEvent::CategoryRenamed { title, previous }])
            }
            CategoryCommand::DeleteCategory => match &self.created {
                None => Err(CategoryError::NotFound),
                Some(category) if category.deleted => Ok(vec![]),
                Some(_) => Ok(vec![CategoryEvent::CategoryDeleted {}]),
            },
        }
    }

    fn evolve(&mut self, event: &CategoryEvent) {
        match (event, &mut self.created) {
            (CategoryEvent::CategoryCreated { category_id, title }, created) => {
                *created = Some(CategoryDetails {
                    category_id: *category_id,
                    title: title.clone(),
                    deleted: false,
                });
            }
            (CategoryEvent::CategoryRenamed { title, previous: _ }, Some(category)) => {
                category.title = title.clone();
            }
            (CategoryEvent::CategoryDeleted {}, Some(category)) => category.deleted = true,
            (_, None) => {}
        }
    }

    fn weight(&self) -> usize {
        let category = self.created.as_ref();
        category.map_or(0, |category| category.title.as_str().len())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::{CATEGORY, assert_text, given, outcomes, title, when};

    fn create(name: &str) -> CategoryCommand {
        CategoryCommand::CreateCategory {
            category_id: CATEGORY,
            title: title(name),
        }
    }

    fn rename(name: &str) -> CategoryCommand {
        CategoryCommand::RenameCategory { title: title(name) }
    }

    fn created() -> Vec<CategoryEvent> {
        when::<Category>(&[], create("Shirts")).unwrap()
    }

    #[test]
    fn every_command_in_every_state() {
        let states = [
            ("unknown", vec![]),
            ("shown", created()),
            (
                "deleted",
                [created(), vec![CategoryEvent::CategoryDeleted {}]].concat(),
            ),
        ];
        let commands = [
            ("CreateCategory, the same", create("Shirts")),
            ("CreateCategory, another", create("Trousers")),
            ("RenameCategory", rename("Trousers")),
            ("RenameCategory, the same", rename("Shirts")),
            ("DeleteCategory", CategoryCommand::DeleteCategory),
        ];
        assert_text(
            &outcomes::<Category>(&states, &commands),
            "
CreateCategory, the same
  CategoryCreated: unknown
  -: shown
  !Deleted: deleted
CreateCategory, another
  CategoryCreated: unknown
  !AlreadyExists: shown
  !Deleted: deleted
RenameCategory
  !NotFound: unknown
  CategoryRenamed: shown
  !Deleted: deleted
RenameCategory, the same
  !NotFound: unknown
  -: shown
  !Deleted: deleted
DeleteCategory
  !NotFound: unknown
  CategoryDeleted: shown
  -: deleted
",
        );
    }

    #[test]
    fn a_renamed_category_tells_what_it_was_called() {
        let renamed = when::<Category>(&created(), rename("Trousers")).unwrap();
        assert_eq!(
            renamed,
            [CategoryEvent::CategoryRenamed {
                title: title("Trousers"),
                previous: title("Shirts"),
            }]
        );
        let state = given::<Category>(&[created(), renamed].concat());
        assert_eq!(state.shown().unwrap().title, title("Trousers"));
    }
}
