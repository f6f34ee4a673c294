package p2p

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"cairn/store"
)

func newTestBook(t *testing.T) *book {
	t.Helper()
	s, err := store.Create("data", testRules(t, nil), store.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	b, err := newBook(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// reopened is the book as it is after a restart.
func (b *book) reopened(t *testing.T) *book {
	t.Helper()
	again, err := newBook(b.store)
	if err != nil {
		t.Fatal(err)
	}
	return again
}

func address(a, b int) ma.Multiaddr {
	return ma.StringCast(fmt.Sprintf("/ip4/10.%d.0.%d/tcp/6000", a, b))
}

func nobody(peer.ID) bool { return false }

// A node that is to stay connected to keeps all addresses that it was given, reached or
// not.
func TestBookKeeps(t *testing.T) {
	b := newTestBook(t)
	one, two := address(1, 1), address(2, 1)
	b.keep(peer.AddrInfo{ID: "x", Addrs: []ma.Multiaddr{one}})
	b.keep(peer.AddrInfo{ID: "x", Addrs: []ma.Multiaddr{two, one}})
	for range 2 {
		infos := b.next(0, nil, nobody)
		if len(infos) != 1 || len(infos[0].Addrs) != 2 || !infos[0].Addrs[0].Equal(one) || !infos[0].Addrs[1].Equal(two) {
			t.Fatalf("%v", infos)
		}
		if err := b.met("x", two); err != nil {
			t.Fatal(err)
		}
	}
	if again := b.reopened(t).good(8); len(again) != 1 {
		t.Errorf("after a restart: %v", again)
	}
	if !b.drop("x") || b.drop("x") {
		t.Error("whether it was kept")
	}
}

// Nodes that cannot be reached any more make room for those that can.
func TestBookForgets(t *testing.T) {
	b := newTestBook(t)
	for i := range maxStored {
		if err := b.met(peer.ID(fmt.Sprintf("old%d", i)), address(i/200, i%200)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.met("new", address(9, 9)); err != nil {
		t.Fatal(err)
	}
	if b.reopened(t).known["new"] != nil {
		t.Error("more are stored than may be")
	}
	b.failed("old7")
	if err := b.met("new", address(9, 9)); err != nil {
		t.Fatal(err)
	}
	again := b.reopened(t)
	if again.known["new"] == nil || again.known["old7"] != nil || again.stored() != maxStored {
		t.Error("one that fails did not make room")
	}
	for range 2 * maxFailures {
		b.failed("new")
	}
	if b.known["new"] != nil || b.reopened(t).known["new"] != nil {
		t.Error("one that never answers is remembered")
	}
}

// One who tells of many nodes fills a part of the book, and those of one network are not
// all dialled before others.
func TestBookDiversity(t *testing.T) {
	b := newTestBook(t)
	for i := range 3 * maxTold {
		b.heard(peer.ID(fmt.Sprintf("sybil%d", i)), []ma.Multiaddr{address(66, i%250)}, "teller")
	}
	if b.size() != maxTold {
		t.Errorf("%d nodes on the word of one", b.size())
	}
	b.heard("a", []ma.Multiaddr{address(1, 1)}, "other")
	b.heard("b", []ma.Multiaddr{address(2, 1)}, "other")
	b.heard("long", []ma.Multiaddr{ma.StringCast("/dns4/" + longName + "/tcp/1")}, "other")
	if b.known["long"] != nil {
		t.Error("it keeps an address that it could not pass on")
	}
	infos := b.next(2, []ma.Multiaddr{address(66, 251)}, nobody)
	if len(infos) != 2 || !slices.ContainsFunc(infos, func(i peer.AddrInfo) bool { return i.ID == "a" }) {
		t.Errorf("%v", infos)
	}
}

var longName = fmt.Sprintf("%0260d.example", 0)

// Bans last over a restart, end by themselves, and make room when there are too many.
func TestBookBans(t *testing.T) {
	b := newTestBook(t)
	if err := b.ban("x", "spam", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := b.ban("y", "spam", time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	again := b.reopened(t)
	if !again.isBanned("x") || again.isBanned("y") || len(again.bans()) != 1 || again.bans()[0].Reason != "spam" {
		t.Errorf("%+v", again.bans())
	}
	if ok, err := again.unban("x"); !ok || err != nil || again.reopened(t).isBanned("x") {
		t.Errorf("%v, %v", ok, err)
	}
	if ok, err := again.unban("nobody"); ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
}
