// Package tracetree is the one model of a trace: the releases that a call is made of, the id of a call, and the tree of a
// trace's spans. Assembly's output, analysis, storage and queries all speak in its words. It refers into pdata and copies
// no span.
package tracetree
