//! Brings the rows of several arrays into one, in any order. Dictionaries stay dictionaries: each distinct text is looked at
//! once, not once per row.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Int32Array, StringArray, new_null_array};
use arrow::compute::interleave;
use arrow::datatypes::{DataType, Int32Type};
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::unify::corrupt;
use crate::Error;

/// Marks a text of a dictionary that no row had so far.
const UNSEEN: i32 = -1;

/// The rows at `places` (array and row) of arrays that all have type `data_type`.
pub(super) fn gather(data_type: &DataType, arrays: &[&ArrayRef], places: &[(usize, usize)]) -> Result<ArrayRef, Error> {
    if arrays.iter().all(|array| array.null_count() == array.len()) {
        return Ok(new_null_array(data_type, places.len()));
    }
    match data_type {
        DataType::Dictionary(_, _) => words(arrays, places),
        DataType::Boolean => {
            let arrays: Vec<&BooleanArray> = arrays.iter().filter_map(|array| array.as_boolean_opt()).collect();
            let value = |(array, row): &(usize, usize)| {
                let array = arrays[*array];
                array.is_valid(*row).then(|| array.value(*row))
            };
            Ok(Arc::new(places.iter().map(value).collect::<BooleanArray>()))
        }
        _ => {
            let arrays: Vec<&dyn Array> = arrays.iter().map(|array| array.as_ref()).collect();
            Ok(interleave(&arrays, places)?)
        }
    }
}

/// What arrays take in memory, about; texts of dictionaries, which arrays share, are left out.
pub(super) fn memory_bytes(arrays: &[ArrayRef]) -> usize {
    let bytes = |array: &ArrayRef| match array.as_dictionary_opt::<Int32Type>() {
        Some(dictionary) => dictionary.keys().get_array_memory_size(),
        None => array.get_array_memory_size(),
    };
    arrays.iter().map(bytes).sum()
}

/// Where the new dictionary has the texts of an old one.
struct Translation {
    /// Tells whether another array has the same dictionary: batches of a row group share theirs.
    identity: (*const u8, *const i32, usize),
    keys: Vec<i32>,
}

fn words(arrays: &[&ArrayRef], places: &[(usize, usize)]) -> Result<ArrayRef, Error> {
    let mut sources: Vec<(&Int32Array, &StringArray, usize)> = Vec::with_capacity(arrays.len());
    let mut translations: Vec<Translation> = Vec::new();
    for array in arrays {
        let wrong = || corrupt(format!("a dictionary has type {}", array.data_type()));
        let dictionary = array.as_dictionary_opt::<Int32Type>().ok_or_else(wrong)?;
        let texts = dictionary.values().as_string_opt::<i32>().ok_or_else(wrong)?;
        let identity = (texts.value_data().as_ptr(), texts.value_offsets().as_ptr(), texts.len());
        let known = translations.iter().position(|translation| translation.identity == identity);
        let translation = known.unwrap_or_else(|| {
            translations.push(Translation { identity, keys: vec![UNSEEN; texts.len()] });
            translations.len() - 1
        });
        sources.push((dictionary.keys(), texts, translation));
    }
    let mut distinct: Vec<&str> = Vec::new();
    let mut known: HashMap<&str, i32, RandomState> = HashMap::default();
    let keys: Int32Array = places
        .iter()
        .map(|(array, row)| {
            let (keys, texts, translation) = sources[*array];
            if keys.is_null(*row) {
                return None;
            }
            let old = keys.value(*row) as usize;
            let new = &mut translations[translation].keys[old];
            if *new == UNSEEN {
                let text = texts.value(old);
                *new = *known.entry(text).or_insert_with(|| {
                    distinct.push(text);
                    distinct.len() as i32 - 1
                });
            }
            Some(*new)
        })
        .collect();
    let values = StringArray::from_iter_values(distinct);
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, Arc::new(values))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dictionaries_become_one_with_what_is_used() {
        let one: DictionaryArray<Int32Type> = [Some("a"), Some("unused"), None, Some("b")].into_iter().collect();
        let other: DictionaryArray<Int32Type> = [Some("b"), Some("c")].into_iter().collect();
        let arrays: [ArrayRef; 3] = [Arc::new(one.clone()), Arc::new(other), Arc::new(one.slice(3, 1))];
        let arrays: Vec<&ArrayRef> = arrays.iter().collect();
        let gathered = gather(arrays[0].data_type(), &arrays, &[(1, 1), (0, 3), (0, 2), (1, 0), (2, 0), (0, 0)]);
        let gathered = gathered.expect("arrays");
        let words = gathered.as_dictionary::<Int32Type>();
        let texts = words.values().as_string::<i32>();
        assert_eq!(texts.iter().flatten().collect::<Vec<_>>(), ["c", "b", "a"]);
        assert_eq!(words.keys().iter().collect::<Vec<_>>(), [Some(0), Some(1), None, Some(1), Some(1), Some(2)]);
    }

    #[test]
    fn flags_and_missing_columns_are_gathered() {
        let flags: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]));
        let none = new_null_array(&DataType::Boolean, 2);
        let gathered = gather(&DataType::Boolean, &[&flags, &none], &[(0, 2), (1, 0), (0, 1), (0, 0)]).expect("arrays");
        assert_eq!(gathered.as_boolean().iter().collect::<Vec<_>>(), [Some(false), None, None, Some(true)]);
        let nothing = gather(&DataType::Int64, &[&new_null_array(&DataType::Int64, 2)], &[(0, 1); 3]).expect("arrays");
        assert_eq!((nothing.len(), nothing.null_count()), (3, 3));
    }
}
