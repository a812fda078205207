package block

// Streams of a body that belong to no column, in the order in which they stand in the directory.
const (
	streamTexts      = iota // strings of operations and keys
	streamTemplates         // of inline strings
	streamEntities          // resources and scopes: schema URL, place of the time of release, OTLP without it
	streamColumns           // key, kind, forecast
	streamOperations        // see Encoder.define
	streamPairs             // of resources and scopes that stand together: the two entities
	streamGroups            // for each release how many pairs it has, and their numbers
	streamGroupSizes        // for each of them: spans<<1 | 1 where the resource is another one than before
	streamSpanOps           // for each span: operation
	streamParents           // for each span: 0 no parent, 1 one that is not in the release, else zigzag(place − parent's place) + 2
	streamGaps              // for each span, in spanTimes.order: class of zigzag(gap)
	streamTails             // likewise: class of the tail; + 128 where it is negative
	streamBases             // for each release: class of zigzag(base − the base before)
	streamDropped           // for records with hasDropped: the counts
	streamCounts            // for spans with hasEvents, hasLinks: how many
	streamEventTimes        // for each event: class of zigzag(time − the span's start)
	streamSubOps            // for each event and link: operation
	streamLinks             // for each link: 0 another trace, 1 a span that is not in the release, else as parents
	streamReleased          // for each resource of a release that says when it was released: class of zigzag(time − that of the resource before)
	numCompressed

	streamTraceIDs  = iota - 1 // for each release, in version 1; behind it the head alone has them
	streamSpanIDs              // for each span
	streamParentIDs            // of parents that are not in the release
	streamLinkIDs              // of links: trace id and span id, or span id
	streamGapBits
	streamTailBits
	streamBaseBits
	streamEventBits
	streamReleasedBits
	numStreams
)

// Streams of a column.
const (
	columnCodes = iota
	columnHeap
	columnTemplates
	columnWhole
	columnVariables
	columnBits
	columnStreams
)

// compressed says whether a stream is worth compressing.
func compressed(stream int) bool {
	if stream < numStreams {
		return stream < numCompressed
	}
	return (stream-numStreams)%columnStreams != columnBits
}
