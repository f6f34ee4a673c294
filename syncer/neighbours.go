package syncer

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxNeighbours = 256
	maxAddress    = 1024 // bytes
)

var (
	// ErrAddress says that an address cannot be a neighbour's; its text says
	// what would be right.
	ErrAddress = errors.New("not the base URL of a node")
	// ErrTooMany says that no more neighbours can be registered.
	ErrTooMany = fmt.Errorf("%d neighbours are registered, which is the most", maxNeighbours)
)

func addressError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrAddress, fmt.Sprintf(format, args...))
}

// AddNeighbour registers a node by its base URL, durably, and returns all that
// are registered, sorted. One that is registered already changes nothing. The
// node need not be reachable. Errors: ErrAddress, ErrTooMany, or of the store.
func (s *Syncer) AddNeighbour(address string) ([]string, error) {
	address, err := normalise(address)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.neighbours[address]; !ok {
		if len(s.neighbours) >= maxNeighbours {
			return nil, ErrTooMany
		}
		batch := s.store.NewBatch()
		defer batch.Close()
		batch.PutNeighbour(address)
		if err := batch.Commit(); err != nil {
			return nil, err
		}
		s.neighbours[address] = new(standing)
	}
	return s.sorted(), nil
}

// RemoveNeighbour forgets a neighbour, durably, and tells whether it was registered.
// Errors: ErrAddress, or of the store.
func (s *Syncer) RemoveNeighbour(address string) (bool, error) {
	address, err := normalise(address)
	if err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.neighbours[address]; !ok {
		return false, nil
	}
	batch := s.store.NewBatch()
	defer batch.Close()
	batch.DeleteNeighbour(address)
	if err := batch.Commit(); err != nil {
		return false, err
	}
	delete(s.neighbours, address)
	return true, nil
}

// Latest returns what came of asking each neighbour last, sorted by address; the
// result of one that was never asked is empty.
func (s *Syncer) Latest() []NeighbourResult {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]NeighbourResult, 0, len(s.neighbours))
	for _, address := range s.sorted() {
		n := s.neighbours[address].last
		n.Address = address
		all = append(all, n)
	}
	return all
}

// Clock returns the median of how far the neighbours' clocks are ahead of this
// node's, by the Date of their answers, and of how many neighbours that is.
func (s *Syncer) Clock() (offset time.Duration, neighbours int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []time.Duration
	for _, n := range s.neighbours {
		if n.clock != nil {
			all = append(all, *n.clock)
		}
	}
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return all[len(all)/2], len(all)
}

// noteClock remembers what a neighbour's answer says of its clock. An HTTP date has
// whole seconds, so on average the clock was half a second further, when the answer
// was made, which was between the call and now.
func (s *Syncer) noteClock(address string, date string, began time.Time) {
	told, err := http.ParseTime(date)
	if err != nil {
		return
	}
	middle := began.Add(time.Since(began) / 2)
	offset := told.Add(time.Second / 2).Sub(middle)
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.neighbours[address]; n != nil {
		n.clock = &offset
	}
}

// Neighbours returns the base URLs of the registered neighbours, sorted.
func (s *Syncer) Neighbours() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sorted()
}

func (s *Syncer) sorted() []string {
	return slices.Sorted(maps.Keys(s.neighbours))
}

// normalise returns the one form in which an address is kept: scheme and host in
// lower case, no slash at the end. A path stays, since a node may be behind a
// proxy under one.
func normalise(address string) (string, error) {
	if len(address) > maxAddress {
		return "", addressError("it has %d bytes; the most is %d", len(address), maxAddress)
	}
	scheme, rest, found := strings.Cut(address, "://")
	scheme = strings.ToLower(scheme)
	if !found {
		return "", addressError("%s has no scheme: write http:// in front, as in http://127.0.0.1:5001", quote(address))
	}
	if scheme != "http" && scheme != "https" {
		return "", addressError("the scheme is %s: only http and https are possible", quote(scheme))
	}
	u, err := url.Parse(scheme + "://" + rest)
	if err != nil {
		return "", addressError("%s is no URL; one looks like http://127.0.0.1:5001", quote(address))
	}
	if err := checkParts(u, rest); err != nil {
		return "", err
	}
	// Taken from the text: what url.Parse has decoded could not be read again.
	host, path := rest, ""
	if i := strings.Index(rest, "/"); i >= 0 {
		host, path = rest[:i], strings.TrimRight(rest[i:], "/")
	}
	name, zone, zoned := strings.Cut(host, "%25") // of an IPv6 address; its case counts
	if zoned {
		return scheme + "://" + strings.ToLower(name) + "%25" + zone + path, nil
	}
	return scheme + "://" + strings.ToLower(host) + path, nil
}

// checkParts refuses what a base URL has no use for.
func checkParts(u *url.URL, rest string) error {
	switch {
	case u.User != nil:
		return addressError("it has a user name or password: leave out what stands before the @")
	case strings.Contains(rest, "?"):
		return addressError("it has a query: leave out the ? and what follows")
	case strings.Contains(rest, "#"):
		return addressError("it has a fragment: leave out the # and what follows")
	case u.Hostname() == "":
		return addressError("it has no host: name the machine, as in http://127.0.0.1:5001")
	case strings.ContainsFunc(u.Host, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return addressError("its host has spaces or control characters")
	case strings.HasSuffix(u.Host, ":"):
		return addressError("its port is empty: write a number after the colon, or no colon")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return addressError("its port is %s: a port is a number from 1 to 65535", quote(port))
		}
	}
	return nil
}
