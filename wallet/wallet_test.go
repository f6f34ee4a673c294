package wallet

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cairn/consensus"
	"cairn/types"
)

func init() { workFactor = 10 }

// fixedText are words of BIP 39's published vectors, of which nobody could mistake
// one for a word of a message.
const fixedText = "hamster diagram private dutch cause delay private meat slide toddler razor book " +
	"happy fancy gospel tennis maple dilemma loan word shrug inflict delay length"

// goldenText are the words of zero entropy.
var goldenText = strings.Repeat("abandon ", 23) + "art"

var passphrase = []byte("correct horse battery staple")

func words(t testing.TB, text string) Words {
	t.Helper()
	w, err := ParseWords(text)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// network returns the rules of a network with signatures.
func network(t testing.TB, name string) *consensus.Rules {
	t.Helper()
	rules, err := consensus.NewRules(consensus.Defaults(name, 1_000_000, 1767225600))
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func create(t testing.TB, text string, indexes ...uint32) *Wallet {
	t.Helper()
	w, err := Create(filepath.Join(t.TempDir(), "wallet"), network(t, "summit"), words(t, text), passphrase, indexes...)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func unlock(t testing.TB, w *Wallet) *Keys {
	t.Helper()
	keys, err := w.Unlock(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// stranger returns an account of someone else's.
func stranger(t testing.TB, i uint32) types.Account {
	t.Helper()
	return accountOf(words(t, strings.Repeat("zoo ", 23)+"vote").Key(i))
}

// signed returns a transfer of the wallet's account 0, signed.
func signed(t testing.TB, w *Wallet, memo string) types.Transfer {
	t.Helper()
	tr, err := Build(w.Rules(), w.Accounts()[0].Account, stranger(t, 0), 1_500_000, 1_000, memo, 8640)
	if err != nil {
		t.Fatal(err)
	}
	if err := unlock(t, w).Sign(w.Rules(), &tr); err != nil {
		t.Fatal(err)
	}
	return tr
}

// checkReopened checks that the wallet on disk is the one in memory.
func checkReopened(t *testing.T, w *Wallet) {
	t.Helper()
	again, err := Open(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w.Accounts(), again.Accounts()); diff != "" {
		t.Errorf("accounts on disk differ: %s", diff)
	}
	if diff := cmp.Diff(w.Watched(), again.Watched()); diff != "" {
		t.Errorf("watched accounts on disk differ: %s", diff)
	}
	if diff := cmp.Diff(w.Outbox(), again.Outbox()); diff != "" {
		t.Errorf("the outbox on disk differs: %s", diff)
	}
	if again.Rules().ChainID() != w.Rules().ChainID() {
		t.Error("the network on disk is another one")
	}
}

func TestCreate(t *testing.T) {
	w := create(t, goldenText, 7, 0, 1, 7)
	var names []string
	for _, e := range w.Accounts() {
		if !e.Own || e.Account != accountOf(words(t, goldenText).Key(e.Index)) {
			t.Errorf("entry %+v is not account %d of the words", e, e.Index)
		}
		names = append(names, e.Name)
	}
	if diff := cmp.Diff([]string{"main", "account 1", "account 7"}, names); diff != "" {
		t.Error(diff)
	}
	checkReopened(t, w)
	if got := unlock(t, w).Words().Reveal(); got != goldenText {
		t.Errorf("the words came back as %q", got)
	}
}

func TestFilesAreTheirOwnersAlone(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no permissions of this kind")
	}
	w := create(t, goldenText)
	if err := w.Watch("shop", w.rules.FormatAccount(stranger(t, 0))); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(w.dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %v, %v", info.Mode(), err)
	}
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", e.Name(), info.Mode(), err)
		}
	}
	if diff := cmp.Diff([]string{publicName, secretName, lockName}, names); diff != "" {
		t.Error(diff)
	}
}

func TestCreateRefuses(t *testing.T) {
	w := create(t, goldenText)
	before, err := os.ReadFile(filepath.Join(w.dir, secretName))
	if err != nil {
		t.Fatal(err)
	}
	lone := t.TempDir()
	if err := os.WriteFile(filepath.Join(lone, secretName), before, 0o600); err != nil {
		t.Fatal(err)
	}
	summit, good := network(t, "summit"), words(t, fixedText)
	for name, c := range map[string]struct {
		dir        string
		rules      *consensus.Rules
		words      Words
		passphrase string
		index      uint32
		want       error
	}{
		"a wallet is there":       {w.dir, summit, good, "p", 0, ErrExists},
		"only its words are left": {lone, summit, good, "p", 0, ErrExists},
		"nothing is signed":       {"new", consensus.Dev(), good, "p", 0, ErrUnsigned},
		"no passphrase":           {"new", summit, good, "", 0, ErrEmptyPassphrase},
		"no words":                {"new", summit, Words{}, "p", 0, ErrWords},
		"index too large":         {"new", summit, good, "p", 1 << 31, ErrIndex},
	} {
		dir := c.dir
		if dir == "new" {
			dir = filepath.Join(t.TempDir(), "new")
		}
		if _, err := Create(dir, c.rules, c.words, []byte(c.passphrase), c.index); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if _, err := os.Stat(dir); c.dir == "new" && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: something was left behind", name)
		}
	}
	for _, dir := range []string{w.dir, lone} {
		after, err := os.ReadFile(filepath.Join(dir, secretName))
		if err != nil || !bytes.Equal(after, before) {
			t.Errorf("the words in %s were touched: %v", dir, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	_, err := Open(t.TempDir())
	if !errors.Is(err, ErrNoWallet) || !strings.Contains(err.Error(), "cairn wallet new") {
		t.Errorf("nothing there: %v", err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, publicName), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), dir) {
		t.Errorf("half a file: %v", err)
	}
}

// Two open wallets, as of two processes, do not undo each other's changes.
func TestChangesMeetOnDisk(t *testing.T) {
	one := create(t, goldenText)
	two, err := Open(one.dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := one.Watch("first", one.rules.FormatAccount(stranger(t, 1))); err != nil {
		t.Fatal(err)
	}
	if err := two.Watch("second", one.rules.FormatAccount(stranger(t, 2))); err != nil {
		t.Fatal(err)
	}
	if n := len(two.Watched()); n != 2 {
		t.Errorf("%d accounts are watched, want 2", n)
	}
	checkReopened(t, two)
}

func TestBusy(t *testing.T) {
	w := create(t, goldenText)
	lock, err := lockDir(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"Watch":            w.Watch("shop", w.rules.FormatAccount(stranger(t, 0))),
		"Rename":           w.Rename("main", "purse"),
		"ChangePassphrase": w.ChangePassphrase(passphrase, []byte("new")),
		"Remember":         w.Remember(signed(t, w, "")),
	} {
		if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "try again") {
			t.Errorf("%s while another changes the wallet: %v", name, err)
		}
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Rename("main", "purse"); err != nil {
		t.Error(err)
	}
}

// A directory that holds another wallet by now is not written into.
func TestDirectoryOfAnotherNetwork(t *testing.T) {
	w := create(t, goldenText)
	other, err := Create(t.TempDir(), network(t, "valley"), words(t, goldenText), passphrase)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(other.dir, publicName), filepath.Join(w.dir, publicName)); err != nil {
		t.Fatal(err)
	}
	if err := w.Rename("main", "purse"); !errors.Is(err, ErrNetwork) {
		t.Errorf("Rename: %v, want ErrNetwork", err)
	}
}
