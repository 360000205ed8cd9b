"""The figures of a report, and what is drawn of them. Pure: values in, values out."""
