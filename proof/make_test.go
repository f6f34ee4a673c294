package proof

import (
	"errors"
	"testing"

	"cairn/accounts"
)

// What storage cannot give is said, and nothing is made without it.
func TestReadErrors(t *testing.T) {
	c := smallChain(t)
	gone := errors.New("gone")
	read := func(uint8, uint32) ([32]byte, error) { return [32]byte{}, gone }
	if s, err := StartAfter(c.states[5], read); !errors.Is(err, gone) || s != nil {
		t.Errorf("start %v, error %v", s, err)
	}
	onlyOwn := func(level uint8, index uint32) ([32]byte, error) {
		if level == 2 {
			return c.read(level, index)
		}
		return [32]byte{}, gone
	}
	if s, err := StartAfter(c.states[4], onlyOwn); !errors.Is(err, gone) || s != nil {
		t.Errorf("start without the way to genesis %v, error %v", s, err)
	}
	if b, err := BlockBefore(5, c.blocks[3].Header, c.states[3], read); !errors.Is(err, gone) || b != nil {
		t.Errorf("block %v, error %v", b, err)
	}
	if b, err := BlockBefore(3, c.blocks[3].Header, c.states[3], c.read); err == nil || b != nil {
		t.Errorf("a block is in the history before itself: %v", b)
	}
	tree, err := accounts.Build(goneReader{gone}, func(yield func(accounts.Leaf, error) bool) {
		_ = yield(accounts.Leaf{Key: accounts.Key{1}, Balance: 1}, nil) && yield(accounts.Leaf{Key: accounts.Key{2}, Balance: 1}, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	if a, err := AccountIn(tree, person(ann), 1); !errors.Is(err, gone) || a != nil {
		t.Errorf("account %v, error %v", a, err)
	}
}

type goneReader struct{ err error }

func (r goneReader) Leaves(accounts.Key, int) ([]accounts.Leaf, error) { return nil, r.err }

func TestNoTransactionAtPosition(t *testing.T) {
	c := smallChain(t)
	defer func() {
		if recover() == nil {
			t.Error("a transaction was made that the block does not have")
		}
	}()
	TransactionOf(c.blocks[3], 5)
}
