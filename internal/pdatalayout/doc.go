// Package pdatalayout knows how pdata has spans in memory, for those who read and make them without a call, or an allocation, for each
// attribute. pdata's own types cannot be named from outside; the types here are laid out alike, and it is looked at when the process
// starts whether that is so, field by field with names, places and types. Where it is not, as in another version of pdata, Known is false,
// and who asks does without: docs/adr/017-decoding-into-slabs.md.
package pdatalayout
