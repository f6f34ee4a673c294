package wallet

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cairn/types"
)

func TestDiscover(t *testing.T) {
	w := words(t, goldenText)
	index := map[types.Account]uint32{}
	for i := range uint32(100) {
		index[accountOf(w.Key(i))] = i
	}
	for name, c := range map[string]struct {
		used, want []uint32
		asked      uint32
	}{
		"nothing":                {nil, []uint32{0}, 20},
		"the first":              {[]uint32{0}, []uint32{0}, 21},
		"some":                   {[]uint32{0, 1, 5}, []uint32{0, 1, 5}, 26},
		"not the first":          {[]uint32{3}, []uint32{0, 3}, 24},
		"the last that is found": {[]uint32{19}, []uint32{0, 19}, 40},
		"behind the gap":         {[]uint32{20}, []uint32{0}, 20},
		"the gap moves on":       {[]uint32{19, 39, 60}, []uint32{0, 19, 39}, 60},
	} {
		asked := uint32(0)
		got, err := Discover(w, func(a types.Account) (bool, error) {
			if i, ok := index[a]; !ok || i != asked {
				t.Fatalf("%s: account %d was asked for, not %d", name, i, asked)
			}
			asked++
			for _, i := range c.used {
				if i == index[a] {
					return true, nil
				}
			}
			return false, nil
		})
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" || asked != c.asked {
			t.Errorf("%s: %v, %d were asked for, want %d; %s", name, err, asked, c.asked, diff)
		}
	}
}

func TestDiscoverFails(t *testing.T) {
	w := words(t, goldenText)
	broken := errors.New("broken")
	if _, err := Discover(w, func(types.Account) (bool, error) { return false, broken }); !errors.Is(err, broken) {
		t.Errorf("%v, want what the node said", err)
	}
	asked := 0
	_, err := Discover(w, func(types.Account) (bool, error) { asked++; return true, nil })
	if !errors.Is(err, ErrDiscover) || asked != maxDiscovered+1 {
		t.Errorf("all in use: %v after %d, want ErrDiscover", err, asked)
	}
}
