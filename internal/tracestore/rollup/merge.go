package rollup

// Merge adds the tables of a value that Append wrote. Series that are new take what room is left, in the order in which they
// stand in it. After ErrValue the sums are what they were before.
func (s *Sums) Merge(encoded []byte, tables Tables) error {
	v, err := open(encoded)
	if err != nil {
		return err
	}
	defer v.close()
	names := translator{from: v.strings, to: &s.strings}
	v.visit(tables, every, func(t Table, k *key, r *row) {
		if k == nil {
			s.tables[t].beyond().merge(r)
			return
		}
		own := names.key(t, k)
		s.at(t, &own).merge(r)
	}, nil)
	return nil
}

// Add adds other sums, which stay as they are; none of their strings is kept. Series that are new take what room is left, in the order
// in which they stand there.
func (s *Sums) Add(from *Sums) {
	known := make([]uint32, len(from.strings.list)+1)
	for t := range from.tables {
		table := &from.tables[t]
		for i := range table.keys {
			var k key
			for column, id := range table.keys[i] {
				if id == 0 {
					continue
				}
				if known[id] == 0 {
					known[id] = s.strings.copyOf(from.strings.text(id))
				}
				k[column] = known[id]
			}
			s.at(Table(t), &k).merge(&table.rows[i])
		}
		if table.other != nil {
			s.tables[t].beyond().merge(table.other)
		}
	}
}

// translator turns a value's numbers of strings into those of a dictionary.
type translator struct {
	from  [][]byte
	to    *dictionary
	known []uint32 // the number in to, by the number in from; 0 = not asked for yet
}

func (n *translator) id(local uint32) uint32 {
	if local == 0 {
		return 0
	}
	if n.known == nil {
		n.known = make([]uint32, len(n.from)+1)
	}
	if n.known[local] == 0 {
		n.known[local] = n.to.idOf(n.from[local-1])
	}
	return n.known[local]
}

func (n *translator) key(t Table, k *key) key {
	var own key
	for i, local := range k[:shapes[t].columns] {
		own[i] = n.id(local)
	}
	return own
}
