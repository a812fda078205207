// Package analysis explains one release of a trace: its entry, services and errors, how long each span worked itself, which
// spans held up the request, and where failures began. Everything in it is a pure function of the release: the same release
// gives the same result, whatever was analysed before, and no result depends on the order of the spans. Nothing recurses, so that
// chains of any depth are ordinary input; each algorithm takes O(n log n) time.
//
// Spans outside of the tree (tracetree.Node.InTree) take no part: a duplicate is not even counted; a conflicting span is counted in
// SpanCount and nowhere else. Both are still described by what they say of themselves.
package analysis
