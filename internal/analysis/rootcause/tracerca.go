package rootcause

// TraceRCA ranks services by how much abnormal traces have in common that they take part in them, and how little normal ones do (Li et al.,
// "Practical Root Cause Localization for Microservice Systems via Trace Analysis", IWQoS 2021). A call is abnormal if its time is, or if a
// failure began in it; a trace is, if one of its calls is.
//
//	support(s)    = abnormal traces with s / abnormal traces
//	confidence(s) = abnormal traces with s / traces with s
//	score(s)      = 1 / (1/support + 1/confidence − 1) · |traces in which s is called abnormally − traces in which s calls abnormally|
//
// Both windows are searched for abnormal traces; what is normal is learned from the normal one.
func TraceRCA(normal, incident []Trace) []Score { return newBoth(normal, incident).traceRCA() }

func (b *both) traceRCA() []Score {
	n := len(b.services)
	with, abnormalWith := make([]float64, n), make([]float64, n)
	called, calling := make([]float64, n), make([]float64, n)
	abnormal := 0.0
	const takes, isCalled, calls = 1, 2, 4
	roles := make(map[int]int) // of the services of a trace
	w := b.incident
	for i := range w.traces {
		clear(roles)
		bad := false
		for k, o := range w.calls[i] {
			c, s := &w.traces[i].Calls[k], b.service[o]
			roles[s] |= takes
			own, wait := b.limits(w, o)
			if logTime(float64(c.Own)) > own || logTime(float64(c.Wait)) > wait || c.Origin {
				bad = true
				roles[s] |= isCalled
				if c.Caller >= 0 {
					roles[b.service[w.calls[i][c.Caller]]] |= calls
				}
			}
		}
		if bad {
			abnormal++
		}
		for s, role := range roles {
			with[s]++
			if bad {
				abnormalWith[s]++
			}
			if role&isCalled > 0 {
				called[s]++
			}
			if role&calls > 0 {
				calling[s]++
			}
		}
	}
	scores := make([]float64, n)
	for s := range scores {
		scores[s] = jaccard(abnormalWith[s], abnormal, with[s]) * max(called[s]-calling[s], calling[s]-called[s])
	}
	return ranking(b.services, scores)
}

// jaccard is how alike two sets are: 1 / (1/support + 1/confidence − 1), of their sizes and that of what is in both. 0 for empty ones.
func jaccard(both, a, b float64) float64 {
	if both <= 0 || a+b-both <= 0 {
		return 0
	}
	return both / (a + b - both)
}
