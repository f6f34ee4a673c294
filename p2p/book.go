package p2p

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"cairn/store"
)

const (
	// maxBook is how many nodes are remembered, and maxStored how many of them over a
	// restart: those that were reached.
	maxBook   = 1024
	maxStored = 256
	// maxTold is how many nodes one peer can tell of that were not reached yet.
	maxTold = 64
	// firstPause and lastPause are how long a node that could not be reached is left
	// alone, at first and at last.
	firstPause = 10 * time.Second
	lastPause  = 10 * time.Minute
)

// book remembers nodes that this one could connect to, those that it has to, and those
// that it must not.
type book struct {
	store  *store.Store
	saving sync.Mutex // held while a record goes to the disk; mu is not

	mu     sync.Mutex
	known  map[peer.ID]*entry
	kept   map[peer.ID][]ma.Multiaddr // to stay connected to
	banned map[peer.ID]Ban
}

// entry is a node that could be connected to.
type entry struct {
	addresses []ma.Multiaddr
	by        peer.ID   // who told of it
	good      bool      // it was reached once
	failures  int       // since then
	after     time.Time // not to be dialled before
}

// newBook reads what is stored.
func newBook(s *store.Store) (*book, error) {
	b := &book{
		store:  s,
		known:  make(map[peer.ID]*entry),
		kept:   make(map[peer.ID][]ma.Multiaddr),
		banned: make(map[peer.ID]Ban),
	}
	records, err := s.Peers()
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		id := peer.ID(r.ID)
		if r.Banned > 0 {
			b.banned[id] = Ban{id.String(), r.Reason, time.Unix(int64(r.Banned), 0)}
		}
		if addresses := parseBytes(r.Addresses); len(addresses) > 0 {
			b.known[id] = &entry{addresses: addresses, good: true}
		}
	}
	return b, nil
}

// parseBytes reads binary multiaddrs, and passes over what is none.
func parseBytes(texts []string) (all []ma.Multiaddr) {
	for _, text := range texts {
		if a, err := ma.NewMultiaddrBytes([]byte(text)); err == nil && len(all) < maxAddressesOfNode {
			all = append(all, a)
		}
	}
	return all
}

func bytesOf(addresses []ma.Multiaddr) (texts []string) {
	for _, a := range addresses {
		if b := a.Bytes(); len(b) < 256 && len(texts) < maxAddressesOfNode {
			texts = append(texts, string(b))
		}
	}
	return texts
}

// save stores what is remembered of a node. The lock is not held: whoever asks who is
// banned must not wait for the disk.
func (b *book) save(id peer.ID) error {
	b.saving.Lock()
	defer b.saving.Unlock()
	batch := b.store.NewBatch()
	defer batch.Close()
	if r := b.record(id); r.Banned == 0 && len(r.Addresses) == 0 {
		batch.DeletePeer(r.ID)
	} else {
		batch.PutPeer(r)
	}
	return batch.Commit()
}

func (b *book) record(id peer.ID) store.PeerRecord {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := store.PeerRecord{ID: string(id)}
	if ban, ok := b.banned[id]; ok {
		r.Banned, r.Reason = uint64(ban.Until.Unix()), ban.Reason
	}
	if e := b.known[id]; e != nil && e.good {
		r.Addresses = bytesOf(e.addresses)
	}
	return r
}

// keep has a node stay connected to, at these addresses or those that it was told
// before.
func (b *book) keep(info peer.AddrInfo) {
	b.mu.Lock()
	defer b.mu.Unlock()
	addresses := slices.Clone(b.kept[info.ID])
	for _, a := range info.Addrs {
		if !slices.ContainsFunc(addresses, a.Equal) {
			addresses = append(addresses, a)
		}
	}
	b.kept[info.ID] = addresses
	e := b.known[info.ID]
	if e == nil {
		e = new(entry)
		b.known[info.ID] = e
	}
	e.addresses, e.after = slices.Clone(addresses), time.Time{}
}

// drop forgets that, and how to reach it. It tells whether it was to.
func (b *book) drop(id peer.ID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, kept := b.kept[id]
	delete(b.kept, id)
	delete(b.known, id)
	return kept
}

// heard notes that by, a peer or the node itself, said where a node is.
func (b *book) heard(id peer.ID, addresses []ma.Multiaddr, by peer.ID) {
	addresses = parseBytes(bytesOf(addresses)) // without those that could not be passed on
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.known[id] != nil || len(addresses) == 0 {
		return
	}
	told := 0
	for _, e := range b.known {
		if e.by == by && !e.good {
			told++
		}
	}
	if told >= maxTold {
		return
	}
	if len(b.known) >= maxBook && !b.makeRoom() {
		return
	}
	b.known[id] = &entry{addresses: addresses, by: by}
}

// makeRoom forgets a node that was never reached, at random. The lock is held.
func (b *book) makeRoom() bool {
	for id, e := range b.known { // Go goes through a map from a random place
		if !e.good && b.kept[id] == nil {
			delete(b.known, id)
			return true
		}
	}
	return false
}

// met notes that a node was reached at an address, for after a restart too.
func (b *book) met(id peer.ID, address ma.Multiaddr) error {
	changed, instead := b.meet(id, address)
	if !changed {
		return nil
	}
	err := b.save(id)
	if instead != id {
		err = errors.Join(err, b.save(instead))
	}
	return err
}

// meet is met without the disk. It tells whether there is something to store, and
// which node had to make room for it; the node itself where none had.
func (b *book) meet(id peer.ID, address ma.Multiaddr) (changed bool, instead peer.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.known[id]
	if e == nil {
		e = new(entry)
		b.known[id] = e
	}
	e.failures, e.after = 0, time.Time{}
	if e.good && e.addresses[0].Equal(address) {
		return false, id
	}
	addresses := []ma.Multiaddr{address}
	for _, a := range e.addresses {
		if !a.Equal(address) && len(addresses) < maxAddressesOfNode {
			addresses = append(addresses, a)
		}
	}
	e.addresses = addresses
	instead = id
	if !e.good && b.stored() >= maxStored {
		if instead = b.failing(); instead == "" {
			return false, id
		}
		b.known[instead].good = false
	}
	e.good = true
	return true, instead
}

func (b *book) stored() (count int) {
	for _, e := range b.known {
		if e.good {
			count++
		}
	}
	return count
}

// failing returns a node that was reached once and lately could not be. The lock is
// held.
func (b *book) failing() peer.ID {
	for id, e := range b.known {
		if e.good && e.failures > 0 {
			return id
		}
	}
	return ""
}

// maxFailures is how often a node may fail in a row before it is forgotten, or, where
// it was reached once, counts as one that was only told of.
const maxFailures = 6

// failed notes that a node could not be reached, or was of no use.
func (b *book) failed(id peer.ID) {
	if b.fail(id) {
		_ = b.save(id) // what is stored is of no use, and no harm
	}
}

// fail is failed without the disk. It tells whether there is something to store.
func (b *book) fail(id peer.ID) (changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.known[id]
	if e == nil {
		return false
	}
	e.after = time.Now().Add(min(firstPause<<min(e.failures, 10), lastPause))
	e.failures++
	switch {
	case e.failures < maxFailures || b.kept[id] != nil:
	case e.good:
		e.good, e.failures = false, 0
		return true
	default:
		delete(b.known, id)
	}
	return false
}

// forget forgets a node of another network.
func (b *book) forget(id peer.ID) {
	b.mu.Lock()
	e := b.known[id]
	if b.kept[id] == nil {
		delete(b.known, id)
	}
	b.mu.Unlock()
	if e != nil && e.good {
		_ = b.save(id) // it is forgotten at the next try
	}
}

// next returns the nodes to dial now: those that must be connected to, and up to want
// others, of as many networks as there are, since one who owns a network can have as
// many nodes there as he likes. present is where this node has connected to already;
// connected tells who need not be dialled.
func (b *book) next(want int, present []ma.Multiaddr, connected func(peer.ID) bool) (infos []peer.AddrInfo) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	idle := func(id peer.ID, e *entry) bool {
		return !connected(id) && !now.Before(e.after) && !b.isBannedLocked(id)
	}
	for id, addresses := range b.kept {
		if e := b.known[id]; e == nil || idle(id, e) {
			infos = append(infos, peer.AddrInfo{ID: id, Addrs: slices.Clone(addresses)})
		}
	}
	ids := make([]peer.ID, 0, len(b.known))
	for id, e := range b.known {
		if b.kept[id] == nil && idle(id, e) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	slices.SortStableFunc(ids, func(x, y peer.ID) int { return rank(b.known[x]) - rank(b.known[y]) })
	taken := make(map[netip.Prefix]bool)
	for _, a := range present {
		taken[netOf(a)] = true
	}
	for _, again := range []bool{false, true} { // another network first
		for _, id := range ids {
			e := b.known[id]
			elsewhere := !slices.ContainsFunc(e.addresses, func(a ma.Multiaddr) bool { return taken[netOf(a)] })
			if want <= 0 || !again && !elsewhere || slices.ContainsFunc(infos, func(i peer.AddrInfo) bool { return i.ID == id }) {
				continue
			}
			for _, a := range e.addresses {
				taken[netOf(a)] = true
			}
			infos = append(infos, peer.AddrInfo{ID: id, Addrs: slices.Clone(e.addresses)})
			want--
		}
	}
	return infos
}

// rank puts those that were reached before the others.
func rank(e *entry) int {
	if e.good {
		return 0
	}
	return 1
}

// netOf is the network that an address is in: its /16, or /32 of IPv6.
func netOf(a ma.Multiaddr) netip.Prefix {
	ip, err := manet.ToIP(a)
	if err != nil {
		return netip.Prefix{}
	}
	addr, _ := netip.AddrFromSlice(ip) // 4 or 16 bytes
	addr = addr.Unmap()
	bits := 32
	if addr.Is4() {
		bits = 16
	}
	p, _ := addr.Prefix(bits) // there are so many
	return p
}

// good returns the addresses of nodes that were reached, with /p2p/ID, at most so many, at
// random.
func (b *book) good(most int) (texts []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, e := range b.known {
		if e.good && e.failures == 0 && len(texts) < most && !b.isBannedLocked(id) {
			texts = append(texts, e.addresses[0].String()+"/p2p/"+id.String())
		}
	}
	return texts
}

// sample returns nodes at random, those that were reached first.
func (b *book) sample(most int) (infos []peer.AddrInfo) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, good := range []bool{true, false} {
		for id, e := range b.known {
			if e.good == good && len(infos) < most && !b.isBannedLocked(id) {
				infos = append(infos, peer.AddrInfo{ID: id, Addrs: slices.Clone(e.addresses)})
			}
		}
	}
	return infos
}

func (b *book) size() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.known)
}

func (b *book) isBanned(id peer.ID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.isBannedLocked(id)
}

func (b *book) isBannedLocked(id peer.ID) bool {
	ban, ok := b.banned[id]
	return ok && time.Now().Before(ban.Until)
}

func (b *book) bans() (all []Ban) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, ban := range b.banned {
		if b.isBannedLocked(id) {
			all = append(all, ban)
		}
	}
	slices.SortFunc(all, func(x, y Ban) int { return cmp.Compare(x.ID, y.ID) })
	return all
}

// maxBans is how many bans are remembered: the one that ends first makes room. Peer IDs
// cost nothing, so a ban only spares this node trouble with one that stays what it is.
const maxBans = 4096

func (b *book) ban(id peer.ID, reason string, until time.Time) error {
	const most = 200 // bytes of a reason
	reason = strings.ToValidUTF8(reason[:min(len(reason), most)], "")
	b.mu.Lock()
	delete(b.kept, id)
	delete(b.known, id)
	b.banned[id] = Ban{id.String(), reason, until}
	first := id
	if len(b.banned) > maxBans {
		for other, ban := range b.banned {
			if ban.Until.Before(b.banned[first].Until) {
				first = other
			}
		}
		delete(b.banned, first)
	}
	b.mu.Unlock()
	if first != id {
		if err := b.save(first); err != nil {
			return err
		}
	}
	return b.save(id)
}

func (b *book) unban(id peer.ID) (bool, error) {
	b.mu.Lock()
	found := b.isBannedLocked(id)
	_, there := b.banned[id]
	delete(b.banned, id)
	b.mu.Unlock()
	if !there {
		return false, nil
	}
	return found, b.save(id)
}
