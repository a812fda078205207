package query

// Around leaves of the map what is at most depth calls away from a node, up and down: its callers and what it calls, what these call and are
// called by, and so on. A node that is not there has no neighbourhood. The map is not changed.
func (m *ServiceMap) Around(focus string, depth int) *ServiceMap {
	neighbours := make(map[string][]string)
	for i := range m.Edges {
		e := &m.Edges[i]
		neighbours[e.Parent] = append(neighbours[e.Parent], e.Child)
		neighbours[e.Child] = append(neighbours[e.Child], e.Parent)
	}
	within := map[string]bool{focus: true}
	frontier := []string{focus}
	for ; depth > 0 && len(frontier) > 0; depth-- {
		var next []string
		for _, name := range frontier {
			for _, neighbour := range neighbours[name] {
				if !within[neighbour] {
					within[neighbour] = true
					next = append(next, neighbour)
				}
			}
		}
		frontier = next
	}
	around := &ServiceMap{Start: m.Start, End: m.End, Completeness: m.Completeness}
	for i := range m.Nodes {
		if within[m.Nodes[i].Name] {
			around.Nodes = append(around.Nodes, m.Nodes[i])
		}
	}
	for i := range m.Edges {
		if within[m.Edges[i].Parent] && within[m.Edges[i].Child] {
			around.Edges = append(around.Edges, m.Edges[i])
		}
	}
	return around
}
