package p2p

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cairn/consensus"
	"cairn/types"
)

const somePeer = "/ip4/192.168.1.7/tcp/6000/p2p/12D3KooWSHj3RRbBjD15g6wekV8y3mm57Pobmps2g2WJm6F67Lay"

// invitation is an invite to dev, with its genesis file.
func invitation() Invite {
	dev := consensus.Dev()
	return Invite{ChainID: dev.ChainID(), Genesis: dev.JSON(), Work: consensus.Work{1000, 0, 7}, Peers: []string{somePeer, somePeer}}
}

// The text without a genesis file, whose compression is the library's, is the same
// for ever.
const goldenInvite = "cairn-invite:aeoyi46szrhiwhirgg6xjvhqbxlldbmbkalwlcpthfbjfvas4e6732adaaaaaaaaaaaaaaaaaaaaaaahaaaaaaaaaaaaaaaaa" +
	"aaaaaaaaaaacurpnfydilzrhezc4mjwhaxdclrxf52gg4bpgyydambpoazhalzrgjcdgs3pn5lvgsdkgnjfeyscnjcdcnlhgz3wk22whb4tg3l" +
	"ngu3va33cnvyhgmthgjluu3jwiy3dotdbpghjnlku"

func TestInvite(t *testing.T) {
	for name, change := range map[string]func(*Invite){
		"whole":       func(*Invite) {},
		"no genesis":  func(i *Invite) { i.Genesis = nil },
		"no peers":    func(i *Invite) { i.Peers = nil },
		"eight peers": func(i *Invite) { i.Peers = strings.Split(strings.Repeat(somePeer+" ", 7)+somePeer, " ") },
	} {
		want := invitation()
		change(&want)
		text := want.String()
		for how, sent := range map[string]string{
			"as it is":   text,
			"in a mail":  "\r\n  " + strings.Join(strings.SplitAfter(text, "a"), "\r\n\t ") + "\u00a0\n",
			"upper case": strings.ToUpper(text),
		} {
			got, err := ParseInvite(sent)
			if err != nil {
				t.Errorf("%s, %s: %v", name, how, err)
			} else if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", name, how, diff)
			}
		}
	}
}

func TestGoldenInvite(t *testing.T) {
	i := invitation()
	i.Genesis, i.Peers = nil, i.Peers[:1]
	if got := i.String(); got != goldenInvite {
		t.Errorf("got %s", got)
	}
}

// What would make an invite long is left out: the newcomer gets it from the peers.
func TestShortInvite(t *testing.T) {
	large := *consensus.Dev()
	for i := range 200 {
		sum := sha256.Sum256([]byte{byte(i)})
		large.Allocations = append(large.Allocations, consensus.Allocation{Account: types.Account(inviteText.EncodeToString(sum[:])), Amount: 1})
	}
	rules, err := consensus.NewRules(large)
	if err != nil {
		t.Fatal(err)
	}
	i := Invite{ChainID: rules.ChainID(), Genesis: rules.JSON()}
	for range 9 {
		i.Peers = append(i.Peers, somePeer)
	}
	got, err := ParseInvite(i.String())
	if err != nil || got.Genesis != nil || len(got.Peers) != 8 || got.ChainID != i.ChainID {
		t.Errorf("%+v, %v", got, err)
	}
}

// seal makes the text of an invite whose bytes are those.
func seal(b []byte) string {
	sum := sha256.Sum256(b)
	return invitePrefix + inviteText.EncodeToString(append(bytes.Clone(b), sum[:inviteSum]...))
}

// unseal returns the bytes of a text, without the sum.
func unseal(t testing.TB, text string) []byte {
	t.Helper()
	b, err := inviteText.DecodeString(strings.ToUpper(strings.TrimPrefix(text, invitePrefix)))
	if err != nil {
		t.Fatal(err)
	}
	return b[:len(b)-inviteSum]
}

// holding is the text of an invite to dev with these bytes for a genesis file.
func holding(genesis []byte) string {
	var packed bytes.Buffer
	w, _ := flate.NewWriter(&packed, flate.BestCompression) // knows this level
	_, _ = w.Write(genesis)
	_ = w.Close() // both into memory
	dev := consensus.Dev().ChainID()
	b := append([]byte{inviteVersion}, dev[:]...)
	b = append(b, make([]byte, 32)...)
	b = binary.LittleEndian.AppendUint16(b, uint16(packed.Len()))
	return seal(append(append(b, packed.Bytes()...), 0))
}

func TestBadInvites(t *testing.T) {
	text := invitation().String()
	other := *consensus.Dev()
	other.Name = "other"
	rules, err := consensus.NewRules(other)
	if err != nil {
		t.Fatal(err)
	}
	body := unseal(t, text)
	next := bytes.Clone(body)
	next[0] = 2
	nobody := append(bytes.Clone(body[:65]), 0, 0, 1, 4, 'h', 'o', 's', 't')
	for name, c := range map[string]struct {
		text  string
		words []string
	}{
		"empty":               {"", []string{`"cairn-invite:"`, "copy all"}},
		"something else":      {"http://127.0.0.1:5000", []string{"copy all"}},
		"only the beginning":  {invitePrefix, []string{"copy it again"}},
		"cut off":             {text[:len(text)-1], []string{"copy it again"}},
		"a letter mistyped":   {invitePrefix + flip(text[len(invitePrefix):]), []string{"does not add up", "copy it again"}},
		"no letter of base32": {text[:40] + "0" + text[41:], []string{"copy it again"}},
		"long":                {invitePrefix + strings.Repeat("a", MaxInvite), []string{"16384"}},
		"a later form":        {seal(next), []string{"form 2", "install"}},
		"an early end":        {seal(body[:70]), []string{"ask for another"}},
		"bytes left over":     {seal(append(bytes.Clone(body), 0)), []string{"ask for another"}},
		"nobody's address":    {seal(nobody), []string{"ask for another", `"host"`}},
		"another network's":   {holding(rules.JSON()), []string{consensus.Dev().ChainID().String(), rules.ChainID().String()}},
		"no genesis file":     {holding([]byte("{}")), []string{"genesis file"}},
		"a bomb":              {holding(make([]byte, 5<<20)), []string{"longer than 65536 bytes"}},
	} {
		_, err := ParseInvite(c.text)
		if !errors.Is(err, ErrInvite) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, word := range c.words {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %q does not say %q", name, err, word)
			}
		}
	}
}

// flip changes one letter in the middle.
func flip(text string) string {
	at := len(text) / 2
	letter := "a"
	if text[at] == 'a' {
		letter = "b"
	}
	return text[:at] + letter + text[at+1:]
}

// Whatever is read is written and read again as the same.
func FuzzParseInvite(f *testing.F) {
	whole := invitation()
	f.Add(whole.String())
	whole.Genesis = nil
	f.Add(whole.String())
	f.Add(holding(consensus.Dev().JSON()))
	f.Fuzz(func(t *testing.T, text string) {
		if i, err := ParseInvite(text); err == nil {
			once := i.String()
			again, err := ParseInvite(once)
			if err != nil || again.String() != once {
				t.Errorf("%+v became %+v, %v", i, again, err)
			}
		}
		// Past the sum, which no mutation finds.
		if b := []byte(text); len(b) < 5000 {
			if i, err := ParseInvite(seal(append([]byte{inviteVersion}, b...))); err == nil {
				if again, err := ParseInvite(i.String()); err != nil || again.ChainID != i.ChainID || !cmp.Equal(again.Peers, i.Peers) {
					t.Errorf("%+v became %+v, %v", i, again, err)
				}
			}
		}
	})
}
