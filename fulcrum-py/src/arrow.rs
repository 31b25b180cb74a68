//! Tables for pandas, Polars, DuckDB and pyarrow, by the Arrow PyCapsule interface.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch,
    RecordBatchIterator, StringArray,
    builder::{MapBuilder, StringBuilder},
    ffi_stream::FFI_ArrowArrayStream,
};
use arrow_schema::{ArrowError, Field, Schema};
use fulcrum_py_macros::guarded;
use jiff::civil::Date;
use pyo3::{
    exceptions::PyValueError,
    prelude::*,
    types::{PyCapsule, PyDict, PyList},
};
use rust_decimal::Decimal;

/// Digits of an amount, and those behind the point: micro-units.
const MONEY_DIGITS: (u8, i8) = (38, 6);

/// A stream of one batch: `columns` are names with the type of each, `rows` dicts. A field that a row lacks is null.
#[guarded]
#[pyo3(name = "_arrow_stream")]
pub(crate) fn arrow_stream<'py>(
    py: Python<'py>,
    columns: Vec<(String, String)>,
    rows: &Bound<'py, PyList>,
) -> PyResult<Bound<'py, PyCapsule>> {
    let rows = rows.iter().map(|row| Ok(row.cast_into::<PyDict>()?)).collect::<PyResult<Vec<_>>>()?;
    let mut fields = Vec::new();
    let mut arrays = Vec::new();
    for (name, kind) in &columns {
        let array = column(name, kind, &rows)?;
        fields.push(Field::new(name, array.data_type().clone(), true));
        arrays.push(array);
    }
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(schema.clone(), arrays).map_err(refuse)?;
    let stream = FFI_ArrowArrayStream::new(Box::new(RecordBatchIterator::new([Ok(batch)], schema)));
    PyCapsule::new_with_value(py, stream, c"arrow_array_stream")
}

fn refuse(error: ArrowError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

fn column(name: &str, kind: &str, rows: &[Bound<'_, PyDict>]) -> PyResult<ArrayRef> {
    fn values<'py, T>(
        name: &str,
        rows: &[Bound<'py, PyDict>],
        read: impl Fn(Bound<'py, PyAny>) -> PyResult<T>,
    ) -> PyResult<Vec<Option<T>>> {
        let value = |row: &Bound<'py, PyDict>| {
            row.get_item(name)?.filter(|value| !value.is_none()).map(&read).transpose()
        };
        rows.iter().map(value).collect()
    }
    Ok(match kind {
        "text" => Arc::new(StringArray::from(values(name, rows, |it| it.str()?.extract::<String>())?)),
        "whole" => Arc::new(Int64Array::from(values(name, rows, |it| it.extract::<i64>())?)),
        "number" => Arc::new(Float64Array::from(values(name, rows, |it| it.extract::<f64>())?)),
        "flag" => Arc::new(BooleanArray::from(values(name, rows, |it| it.extract::<bool>())?)),
        "money" => {
            let amounts = Decimal128Array::from(values(name, rows, |it| micros(&it))?);
            Arc::new(amounts.with_precision_and_scale(MONEY_DIGITS.0, MONEY_DIGITS.1).map_err(refuse)?)
        }
        "day" => Arc::new(Date32Array::from(values(name, rows, |it| days(&it))?)),
        "map" => {
            let mut map = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
            for row in values(name, rows, |it| Ok(it.cast_into::<PyDict>()?))? {
                for (key, value) in row.iter().flat_map(|row| row.iter()) {
                    map.keys().append_value(key.extract::<String>()?);
                    map.values().append_value(value.extract::<String>()?);
                }
                map.append(row.is_some()).map_err(refuse)?;
            }
            Arc::new(map.finish())
        }
        _ => return Err(PyValueError::new_err(format!("{kind:?} is not a type of columns"))),
    })
}

fn micros(amount: &Bound<'_, PyAny>) -> PyResult<i128> {
    let text: String = amount.str()?.extract()?;
    let amount: Decimal =
        text.parse().map_err(|_| PyValueError::new_err(format!("{text:?} is not an amount")))?;
    let mut micros = amount.round_dp(6);
    micros.rescale(6);
    Ok(micros.mantissa())
}

/// Since 1970.
fn days(day: &Bound<'_, PyAny>) -> PyResult<i32> {
    let text: String = day.str()?.extract()?;
    let day: Date = text.parse().map_err(|_| PyValueError::new_err(format!("{text:?} is not a date")))?;
    let since = day.since(jiff::civil::date(1970, 1, 1));
    since.map(|span| span.get_days()).map_err(|error| PyValueError::new_err(error.to_string()))
}
