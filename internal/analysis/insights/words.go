package insights

import (
	"math"
	"strconv"
	"time"
)

// percent is such as "21 %", with as many digits as mean something.
func percent(share float64) string {
	of := 100 * share
	switch {
	case of == 0:
		return "0 %"
	case of < 0.01:
		return "less than 0.01 %"
	case of < 1:
		return strconv.FormatFloat(of, 'g', 1, 64) + " %"
	case of < 9.95:
		return strconv.FormatFloat(of, 'f', 1, 64) + " %"
	case of < 99.5 || of >= 99.95:
		return strconv.FormatFloat(math.Round(of), 'f', 0, 64) + " %"
	}
	return strconv.FormatFloat(of, 'f', 1, 64) + " %"
}

// times is such as "5.1 times".
func times(factor float64) string {
	precision := 1
	if factor >= 10 {
		precision = 0
	}
	return strconv.FormatFloat(factor, 'f', precision, 64) + " times"
}

// duration has three digits or so.
func duration(ns float64) string {
	d := time.Duration(min(max(ns, 0), math.MaxInt64/2))
	for _, unit := range [...]time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		switch {
		case d >= 100*unit:
			return d.Round(unit).String()
		case d >= 10*unit:
			return d.Round(unit / 10).String()
		case d >= unit:
			return d.Round(unit / 100).String()
		}
	}
	return d.String()
}

// rate is such as "412" or "3.2", calls a second.
func rate(perSecond float64) string {
	if perSecond < 10 {
		return strconv.FormatFloat(perSecond, 'f', 1, 64)
	}
	return strconv.FormatFloat(math.Round(perSecond), 'f', 0, 64)
}

// names lists the first three of them, and how many more there are.
func names(list []string) string {
	const most = 3
	text := ""
	for i, name := range list[:min(len(list), most)] {
		switch {
		case i > 0 && i == len(list)-1:
			text += " and "
		case i > 0:
			text += ", "
		}
		text += name
	}
	if more := len(list) - most; more > 0 {
		text += " and " + strconv.Itoa(more) + " more"
	}
	return text
}

// operation is such as `payment "POST /charges"`.
func (o Operation) String() string {
	if o.Operation == "" {
		return o.Service
	}
	return o.Service + " " + strconv.Quote(o.Operation)
}
