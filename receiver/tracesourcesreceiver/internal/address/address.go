// Package address says which addresses a list of patterns allows.
package address

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Purpose is what an address is for.
type Purpose int

const (
	// Listen: a pattern that names all addresses (0.0.0.0) allows each of them.
	Listen Purpose = iota
	// Dial: patterns may name networks and domains.
	Dial
)

// List is what is allowed.
type List struct {
	purpose  Purpose
	patterns []pattern
}

// pattern is one entry of a list: host, or network, or domain; and ports.
type pattern struct {
	host    string // in small letters; "*" is every host
	domain  string // with the dot before it
	network netip.Prefix
	from    int // ports; 0 to 65535 where none are named
	to      int
}

const maxPort = 65535

// ParseList reads a list of host, host:port and host:port-port; to dial, also of *, *.domain and network/bits, each with ports or without.
func ParseList(texts []string, purpose Purpose) (List, error) {
	list := List{purpose: purpose}
	for _, text := range texts {
		p, err := parsePattern(text, purpose)
		if err != nil {
			return List{}, fmt.Errorf("%q: %w", text, err)
		}
		list.patterns = append(list.patterns, p)
	}
	return list, nil
}

func parsePattern(text string, purpose Purpose) (pattern, error) {
	p := pattern{host: text, to: maxPort}
	_, errIP := netip.ParseAddr(text) // of version 6 it has colons, too
	_, errNetwork := netip.ParsePrefix(text)
	if errIP != nil && errNetwork != nil {
		if at := strings.LastIndexByte(text, ':'); at >= 0 && !strings.HasSuffix(text, "]") {
			from, to, ranged := strings.Cut(text[at+1:], "-")
			if !ranged {
				to = from
			}
			var errFrom, errTo error
			p.host = text[:at]
			p.from, errFrom = port(from)
			p.to, errTo = port(to)
			if errFrom != nil || errTo != nil || p.from > p.to {
				return p, fmt.Errorf("%q are no ports; give one, or two with a dash", text[at+1:])
			}
		}
	}
	p.host = strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(p.host, "["), "]"))
	switch {
	case p.host == "":
		return p, errors.New("has no host")
	case purpose == Dial && strings.Contains(p.host, "/"):
		network, err := netip.ParsePrefix(p.host)
		if err != nil {
			return p, fmt.Errorf("is no network: %w", err)
		}
		p.network = network
	case purpose == Dial && strings.HasPrefix(p.host, "*."):
		p.domain = p.host[1:]
	case p.host != "*" && strings.ContainsAny(p.host, "*/@ "):
		return p, errors.New("is no host")
	case p.host == "*" && purpose == Listen:
		return p, errors.New("is no host; 0.0.0.0 stands for every address")
	}
	return p, nil
}

func port(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	return int(n), err
}

// Address is a host and a port.
type Address struct {
	// Host is in small letters; 0.0.0.0 where none is named.
	Host string
	Port int
}

// Parse reads host:port, and URLs as far as they name these.
func Parse(text string) (Address, error) {
	if scheme, _, ok := strings.Cut(text, "://"); ok {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" {
			return Address{}, errors.New("is no URL with a host")
		}
		text = u.Host
		if u.Port() == "" {
			text = net.JoinHostPort(u.Hostname(), map[string]string{"https": "443", "http": "80"}[scheme])
		}
	}
	host, portText, err := net.SplitHostPort(text)
	if err != nil {
		return Address{}, errors.New("must be host:port")
	}
	n, err := port(portText)
	if err != nil {
		return Address{}, errors.New("must be host:port, the port a number up to 65535")
	}
	if host == "" {
		host = "0.0.0.0"
	}
	return Address{Host: strings.ToLower(host), Port: n}, nil
}

// Loopback says whether only this host reaches it.
func (a Address) Loopback() bool { return loopback(a.Host) }

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

func unspecified(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsUnspecified()
}

func (a Address) String() string { return net.JoinHostPort(a.Host, strconv.Itoa(a.Port)) }

// Allows says whether a pattern has the address.
func (l *List) Allows(a Address) bool {
	for _, p := range l.patterns {
		if a.Port >= p.from && a.Port <= p.to && l.hosts(&p, a.Host) {
			return true
		}
	}
	return false
}

func (l *List) hosts(p *pattern, host string) bool {
	switch ip, err := netip.ParseAddr(host); {
	case p.network.IsValid():
		return err == nil && p.network.Contains(ip.Unmap())
	case p.domain != "":
		return err != nil && strings.HasSuffix(host, p.domain)
	case p.host == "*", p.host == host, l.purpose == Listen && unspecified(p.host):
		return true
	case p.host == "localhost":
		return loopback(host)
	default:
		return loopback(p.host) && host == "localhost"
	}
}

// String is the list as it was written, for errors.
func (l *List) String() string {
	if len(l.patterns) == 0 {
		return "none"
	}
	texts := make([]string, len(l.patterns))
	for i, p := range l.patterns {
		texts[i] = p.host
		switch {
		case p.from == p.to:
			texts[i] = net.JoinHostPort(p.host, strconv.Itoa(p.from))
		case p.from > 0 || p.to < maxPort:
			texts[i] = net.JoinHostPort(p.host, fmt.Sprintf("%d-%d", p.from, p.to))
		}
	}
	return strings.Join(texts, ", ")
}
