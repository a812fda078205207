package block

// appendAttributes appends the attributes of a record as fields, and sets state and message. span is −1 where it is not a span.
func (c *cursor) appendAttributes(buf []byte, op *operationInfo, tag byte, span, limit int) []byte {
	r := &c.current
	c.state, c.message = nil, nil
	r.selfTime, r.shares.path = 0, 0
	slots := c.t.slotsOf(op)
	for i := range slots {
		s := &slots[i]
		info := &c.t.columns[s.column]
		var text []byte
		number := s.number
		if !s.varies {
			text = c.t.texts.at(s.text)
		} else {
			column := c.columns[s.column]
			switch {
			case info.kind.textual():
				text = column.text(c.release, c.t.templates, &r.memory, r.ids)
			case column.encoding == numbersShare:
				number = column.share(&r.shares)
			default:
				number = column.number()
				if info.forecast != forecastNone {
					number = r.foretold(info.forecast, number, span)
				}
			}
			if c.watched != nil && span >= 0 {
				for _, test := range c.watched[s.column] {
					test.note(span, info.kind, text, number)
				}
			}
		}
		switch info.kind {
		case kindState:
			c.state = append(c.stateBuf[:0], text...)
			c.stateBuf = c.state
			continue
		case kindMessage:
			c.message = append(c.messageBuf[:0], text...)
			c.messageBuf = c.message
			continue
		}
		buf = appendAttribute(buf, tag, c.t.texts.at(info.key), info.kind, text, number)
		if c.b.failed || len(buf) > limit {
			c.b.failed = true
			return buf
		}
	}
	return buf
}

// foretold adds what is expected of a number to the difference; the counterpart of Encoder.foretell.
func (r *current) foretold(f forecast, difference uint64, span int) uint64 {
	if span < 0 {
		return difference
	}
	switch f {
	case forecastSelfTime:
		r.selfTime = difference + uint64(r.times.selfTime(span))
		return r.selfTime
	case forecastPathTime:
		n := difference + r.selfTime
		r.shares.path = int64(n)
		return n
	case forecastStart:
		return difference + r.start
	case forecastDuration:
		return difference + r.duration
	}
	return difference
}

func appendAttribute(buf []byte, tag byte, key []byte, k kind, text []byte, number uint64) []byte {
	size := valueSize(k, len(text), number)
	buf = appendTagged(buf, tag, keyValueSize(key, size))
	buf = appendKey(buf, key)
	return appendValue(buf, k, size, text, number)
}

// appendID appends an id, or an empty field where it is zero.
func appendID(buf []byte, tag byte, id []byte) []byte {
	for _, b := range id {
		if b != 0 {
			return append(append(buf, tag, byte(len(id))), id...)
		}
	}
	return append(buf, tag, 0)
}
