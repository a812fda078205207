package analysis

// NetworkSegments says of each segment of the path whether the request was between two services in it: on the network, in a queue, or in
// the libraries on both sides. Such is the time that a client span holds itself although a server span answers it.
//
//	client  |--------------------|
//	server       |---------|
//	        network         network
func (r *Result) NetworkSegments() []bool {
	answered := make([]bool, len(r.Tree.Nodes))
	for i := range r.Tree.Nodes {
		if n := &r.Tree.Nodes[i]; n.Kind() == serverKind && n.Parent >= 0 {
			answered[n.Parent] = true
		}
	}
	network := make([]bool, len(r.Path))
	for at, s := range r.Path {
		network[at] = answered[s.Span] && r.Tree.Nodes[s.Span].Kind() == clientKind
	}
	return network
}
