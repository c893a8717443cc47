//! Builds Arrow arrays from a window's columns: row order applied, texts as dictionaries.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, BooleanBufferBuilder, DictionaryArray, FixedSizeBinaryArray,
    Int32Array, Int64Array, ListArray, StringArray, StructArray, UInt32Array,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer};
use arrow::datatypes::Int32Type;
use arrow::error::ArrowError;

use super::column_chunk::pays;
use super::schema;
use crate::window::intern::{Interner, TextId};
use crate::window::sparse::Sparse;

/// The row order of a block, and what was left out.
pub(crate) struct Order {
    /// For each row of the block, its row in the window.
    pub(crate) old_of_new: Vec<u32>,
    /// For each row of the window, its row in the block, or [`DROPPED`].
    pub(crate) new_of_old: Vec<u32>,
}

/// Marks a window's row that the block does not have, because another row has the same span.
pub(crate) const DROPPED: u32 = u32::MAX;

impl Order {
    /// From the window's rows in the block's order.
    pub(crate) fn new(old_of_new: Vec<u32>, window_rows: usize) -> Self {
        let mut new_of_old = vec![DROPPED; window_rows];
        for (new, old) in old_of_new.iter().enumerate() {
            new_of_old[*old as usize] = new as u32;
        }
        Self { old_of_new, new_of_old }
    }

    /// Whether the block has this row of the window.
    pub(crate) fn has(&self, row: usize) -> bool {
        self.new_of_old[row] != DROPPED
    }

    /// Rows of the block.
    pub(crate) fn len(&self) -> usize {
        self.old_of_new.len()
    }

    /// A dense column in the block's order.
    pub(crate) fn apply<'a, T: Copy>(&'a self, column: &'a [T]) -> impl Iterator<Item = T> + 'a {
        self.old_of_new.iter().map(|old| column[*old as usize])
    }

    /// Without the rows of the block that do not stay.
    pub(crate) fn kept(&self, stays: &BooleanArray) -> Self {
        // As Arrow's filter has it: what is not known to stay does not.
        let kept = |(old, stays): (&u32, Option<bool>)| (stays == Some(true)).then_some(*old);
        Self::new(self.old_of_new.iter().zip(stays).filter_map(kept).collect(), self.new_of_old.len())
    }

    /// A sparse column as one slot per row of the block. Of the values of a row the first counts.
    pub(crate) fn spread<T: Copy + Default>(&self, column: &Sparse<T>) -> Spread<T> {
        let mut values = vec![T::default(); self.len()];
        let mut valid = BooleanBufferBuilder::new(self.len());
        valid.append_n(self.len(), false);
        let mut last = DROPPED;
        for (old, value) in column.iter() {
            let new = self.new_of_old[old as usize];
            if new != DROPPED && old != last {
                valid.set_bit(new as usize, true);
                values[new as usize] = *value;
            }
            last = old;
        }
        Spread { values, valid: NullBuffer::new(valid.finish()) }
    }

    /// A sparse column of numbers that are 0 where there is no value.
    pub(crate) fn counts(&self, column: &Sparse<u32>) -> ArrayRef {
        Arc::new(UInt32Array::from(self.spread(column).values))
    }

    /// The rows of a sparse column that the block has, in its order; rows of one span keep their order.
    pub(crate) fn sorted<'a, T>(&self, column: &'a Sparse<T>) -> Vec<(u32, &'a T)> {
        let mut rows: Vec<_> = column
            .iter()
            .map(|(old, value)| (self.new_of_old[old as usize], value))
            .filter(|(new, _)| *new != DROPPED)
            .collect();
        rows.sort_by_key(|(new, _)| *new);
        rows
    }
}

/// One slot per row, and which of them have a value; the others have the type's default.
pub(crate) struct Spread<T> {
    pub(crate) values: Vec<T>,
    pub(crate) valid: NullBuffer,
}

/// Makes text columns: dictionaries unless more than half of the values are distinct. Holds a translation table that all share.
pub(crate) struct TextColumns<'a> {
    texts: &'a Interner,
    position: Vec<u32>,
}

impl<'a> TextColumns<'a> {
    /// For texts of one window.
    pub(crate) fn new(texts: &'a Interner) -> Self {
        Self { texts, position: vec![u32::MAX; texts.len()] }
    }

    /// A column with a text in every row.
    pub(crate) fn dense(&mut self, texts: impl Iterator<Item = TextId>) -> Result<ArrayRef, ArrowError> {
        let mut distinct = Vec::new();
        let keys: Vec<i32> = texts.map(|text| self.key(text, &mut distinct)).collect();
        let rows = keys.len();
        self.column(keys, None, &distinct, rows)
    }

    /// A column with a text in some rows.
    pub(crate) fn sparse(&mut self, spread: &Spread<TextId>) -> Result<ArrayRef, ArrowError> {
        let mut distinct = Vec::new();
        let mut keys = vec![0; spread.values.len()];
        for row in spread.valid.valid_indices() {
            keys[row] = self.key(spread.values[row], &mut distinct);
        }
        let present = keys.len() - spread.valid.null_count();
        self.column(keys, Some(spread.valid.clone()), &distinct, present)
    }

    fn key(&mut self, text: TextId, distinct: &mut Vec<TextId>) -> i32 {
        let position = &mut self.position[text as usize];
        if *position == u32::MAX {
            *position = distinct.len() as u32;
            distinct.push(text);
        }
        *position as i32
    }

    fn column(
        &mut self,
        keys: Vec<i32>,
        valid: Option<NullBuffer>,
        distinct: &[TextId],
        present: usize,
    ) -> Result<ArrayRef, ArrowError> {
        for text in distinct {
            self.position[*text as usize] = u32::MAX;
        }
        let keys = Int32Array::try_new(keys.into(), valid)?;
        if !pays(distinct.len(), present) {
            let plain: StringArray =
                keys.iter().map(|key| key.map(|key| self.texts.get(distinct[key as usize]))).collect();
            return Ok(Arc::new(plain));
        }
        let values = StringArray::from_iter_values(distinct.iter().map(|text| self.texts.get(*text)));
        Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, Arc::new(values))?))
    }
}

/// A column of the names of codes.
pub(crate) fn words(
    codes: impl Iterator<Item = u8>,
    name_of: impl Fn(u8) -> &'static str,
) -> Result<ArrayRef, ArrowError> {
    let mut names: Vec<&str> = Vec::new();
    let mut key_of_code = [None; 1 << u8::BITS];
    let keys: Int32Array = codes
        .map(|code| {
            *key_of_code[usize::from(code)].get_or_insert_with(|| {
                let name = name_of(code);
                let known = names.iter().position(|other| *other == name);
                known.unwrap_or_else(|| {
                    names.push(name);
                    names.len() - 1
                }) as i32
            })
        })
        .collect::<Vec<_>>()
        .into();
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, Arc::new(StringArray::from(names)))?))
}

/// Fixed-size ids, none missing.
pub(crate) fn ids<const N: usize>(ids: impl Iterator<Item = [u8; N]>) -> Result<ArrayRef, ArrowError> {
    let mut bytes = Vec::with_capacity(ids.size_hint().0 * N);
    ids.for_each(|id| bytes.extend_from_slice(&id));
    Ok(Arc::new(FixedSizeBinaryArray::try_new(N as i32, Buffer::from_vec(bytes), None)?))
}

/// Fixed-size ids, some missing.
pub(crate) fn optional_ids<const N: usize>(ids: &[Option<[u8; N]>]) -> Result<ArrayRef, ArrowError> {
    let mut bytes = Vec::with_capacity(ids.len() * N);
    ids.iter().for_each(|id| bytes.extend_from_slice(&id.unwrap_or([0; N])));
    let valid: NullBuffer = ids.iter().map(Option::is_some).collect::<Vec<_>>().into();
    Ok(Arc::new(FixedSizeBinaryArray::try_new(N as i32, Buffer::from_vec(bytes), Some(valid))?))
}

/// The events of each row, null where there are none.
pub(crate) fn events(
    order: &Order,
    texts: &Interner,
    events: &Sparse<crate::window::columns::EventRow>,
) -> Result<ArrayRef, ArrowError> {
    let rows = order.sorted(events);
    let each = || rows.iter().map(|(_, event)| *event);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(each().map(|event| event.time_unix_nano))),
        Arc::new(StringArray::from_iter_values(each().map(|event| texts.get(event.name)))),
        Arc::new(StringArray::from_iter_values(each().map(|event| texts.get(event.attributes)))),
        Arc::new(UInt32Array::from_iter_values(each().map(|event| event.dropped_attributes_count))),
    ];
    list(order.len(), rows.iter().map(|(new, _)| *new), &schema::EVENT_FIELDS, columns)
}

/// The links of each row, null where there are none.
pub(crate) fn links(
    order: &Order,
    texts: &Interner,
    links: &Sparse<crate::window::columns::LinkRow>,
) -> Result<ArrayRef, ArrowError> {
    let rows = order.sorted(links);
    let each = || rows.iter().map(|(_, link)| *link);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(BinaryArray::from_iter_values(each().map(|link| &link.trace_id))),
        Arc::new(BinaryArray::from_iter_values(each().map(|link| &link.span_id))),
        Arc::new(StringArray::from_iter_values(each().map(|link| texts.get(link.trace_state)))),
        Arc::new(StringArray::from_iter_values(each().map(|link| texts.get(link.attributes)))),
        Arc::new(UInt32Array::from_iter_values(each().map(|link| link.dropped_attributes_count))),
        Arc::new(UInt32Array::from_iter_values(each().map(|link| link.flags))),
    ];
    list(order.len(), rows.iter().map(|(new, _)| *new), &schema::LINK_FIELDS, columns)
}

fn list(
    row_count: usize,
    rows: impl Iterator<Item = u32>,
    fields: &arrow::datatypes::Fields,
    columns: Vec<ArrayRef>,
) -> Result<ArrayRef, ArrowError> {
    let mut lengths = vec![0usize; row_count];
    for row in rows {
        lengths[row as usize] += 1;
    }
    let valid: NullBuffer = lengths.iter().map(|length| *length > 0).collect::<Vec<_>>().into();
    let offsets = OffsetBuffer::<i32>::from_lengths(lengths);
    let elements = StructArray::try_new(fields.clone(), columns, None)?;
    let item = Arc::new(schema::list_item(fields));
    let list = ListArray::try_new(item, offsets, Arc::new(elements), Some(valid))?;
    debug_assert_eq!(list.len(), row_count, "one list per row");
    Ok(Arc::new(list))
}
