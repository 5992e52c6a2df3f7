//! What all enumerations of numbers on the wire share.

/// Gives an enumeration with a `name` its number and its text.
macro_rules! numbered {
    ($name:ident) => {
        impl From<$name> for i32 {
            fn from(value: $name) -> Self {
                value as Self
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

pub(crate) use numbered;
