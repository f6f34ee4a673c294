package wallet

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"

	"cairn/consensus"
	"cairn/types"
)

// The file is one of age's own, and holds the words and a newline.
func TestSecretIsAnAgeFile(t *testing.T) {
	w := create(t, fixedText)
	f, err := os.Open(filepath.Join(w.dir, secretName))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	identity, err := age.NewScryptIdentity(string(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := age.Decrypt(armor.NewReader(f), identity)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(plain); err != nil || string(text) != fixedText+"\n" {
		t.Errorf("age reads %q, %v", text, err)
	}
}

// What age wrote, with its own work factor, is read.
func TestSecretFromAge(t *testing.T) {
	w := create(t, fixedText)
	replaceSecret(t, w, sealed(t, strings.ToUpper(fixedText), string(passphrase), 11))
	if got := unlock(t, w).Words().Reveal(); got != fixedText {
		t.Errorf("the words are %q", got)
	}
}

func TestWorkFactor(t *testing.T) {
	defer func(f int) { workFactor = f }(workFactor)
	workFactor = 12
	data, err := seal(words(t, fixedText), passphrase)
	if err != nil {
		t.Fatal(err)
	}
	header, err := io.ReadAll(armor.NewReader(bytes.NewReader(data)))
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Split(string(header), "\n")[1]
	if !strings.HasPrefix(line, "-> scrypt ") || !strings.HasSuffix(line, " 12") {
		t.Errorf("the recipient is %q", line)
	}
	// Without decrypting: no more work is done than is allowed.
	if _, err := unseal(sealedHeader(21), passphrase); !errors.Is(err, ErrDamaged) {
		t.Errorf("2 GiB of work: %v, want ErrDamaged", err)
	}
}

// sealedHeader is an age file that asks for as much work.
func sealedHeader(logN int) []byte {
	var b bytes.Buffer
	a := armor.NewWriter(&b)
	fmt.Fprintf(a, "age-encryption.org/v1\n-> scrypt %s %d\n%s\n--- %s\n%s",
		strings.Repeat("A", 22), logN, strings.Repeat("A", 43), strings.Repeat("A", 43), strings.Repeat("x", 40))
	a.Close()
	return b.Bytes()
}

func sealed(t testing.TB, text, passphrase string, logN int) []byte {
	t.Helper()
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	recipient.SetWorkFactor(logN)
	var b bytes.Buffer
	a := armor.NewWriter(&b)
	plain, err := age.Encrypt(a, recipient)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(plain, text); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(plain.Close(), a.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func replaceSecret(t testing.TB, w *Wallet, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, secretName), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestUnlockRefuses(t *testing.T) {
	w := create(t, fixedText)
	good, err := os.ReadFile(filepath.Join(w.dir, secretName))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		secret     []byte
		passphrase string
		want       error
	}{
		"wrong passphrase":      {good, "wrong", ErrPassphrase},
		"empty passphrase":      {good, "", ErrPassphrase},
		"words of another":      {sealed(t, goldenText+"\n", "p", 10), "p", ErrDamaged},
		"no words":              {sealed(t, "hello", "p", 10), "p", ErrDamaged},
		"one word mistyped":     {sealed(t, swap(fixedText, 0, "hamstr"), "p", 10), "p", ErrDamaged},
		"very much":             {sealed(t, strings.Repeat("hamster ", 3000), "p", 10), "p", ErrDamaged},
		"empty file":            {nil, "p", ErrDamaged},
		"decrypted words":       {[]byte(fixedText + "\n"), "p", ErrDamaged},
		"decrypted, but armour": {[]byte(armor.Header + "\n" + fixedText + "\n"), "p", ErrDamaged},
		"large file":            {bytes.Repeat([]byte{'a'}, maxSecret+1), "p", ErrDamaged},
		"cut off":               {good[:len(good)/2], string(passphrase), ErrDamaged},
		"a flipped bit":         {flipped(good), string(passphrase), ErrDamaged},
	} {
		replaceSecret(t, w, c.secret)
		keys, err := w.Unlock([]byte(c.passphrase))
		if !errors.Is(err, c.want) || keys != nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
			continue
		}
		checkHides(t, name, err.Error())
	}
	if err := os.Remove(filepath.Join(w.dir, secretName)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Unlock(passphrase); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no secret.age: %v", err)
	}
}

// flipped changes a letter of the last full line, which is of the words.
func flipped(data []byte) []byte {
	data = bytes.Clone(data)
	i := len(data) - len(armor.Footer) - 20
	if data[i] == 'A' {
		data[i] = 'B'
	} else {
		data[i] = 'A'
	}
	return data
}

// Whoever can write public.json cannot put an account of their own among those
// that the wallet shows as its own.
func TestUnlockChecksEveryAccount(t *testing.T) {
	w := create(t, fixedText, 1)
	path := filepath.Join(w.dir, publicName)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	theirs := w.rules.FormatAccount(stranger(t, 0))
	data = bytes.Replace(data, []byte(w.rules.FormatAccount(w.Accounts()[1].Account)), []byte(theirs), 1)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if w, err = Open(w.dir); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Unlock(passphrase); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), theirs) {
		t.Errorf("Unlock: %v, want ErrDamaged that names the account", err)
	}
}

func TestChangePassphrase(t *testing.T) {
	w := create(t, fixedText)
	next := []byte("something else")
	for _, c := range []struct {
		old, next []byte
		want      error
	}{
		{[]byte("wrong"), next, ErrPassphrase},
		{passphrase, nil, ErrEmptyPassphrase},
		{passphrase, next, nil},
		{passphrase, next, ErrPassphrase},
	} {
		if err := w.ChangePassphrase(c.old, c.next); !errors.Is(err, c.want) {
			t.Errorf("from %q to %q: %v, want %v", c.old, c.next, err, c.want)
		}
	}
	if _, err := w.Unlock(passphrase); !errors.Is(err, ErrPassphrase) {
		t.Errorf("the old passphrase: %v", err)
	}
	if keys, err := w.Unlock(next); err != nil || keys.Words().Reveal() != fixedText {
		t.Errorf("the new passphrase: %v", err)
	}
}

func TestSign(t *testing.T) {
	w := create(t, fixedText)
	keys := unlock(t, w)
	if _, err := w.AddAccount(keys, "second"); err != nil {
		t.Fatal(err)
	}
	for _, e := range w.Accounts() {
		tr, err := Build(w.Rules(), e.Account, stranger(t, 0), 1, 1, "", 100)
		if err != nil {
			t.Fatal(err)
		}
		if err := keys.Sign(w.Rules(), &tr); err != nil {
			t.Fatal(err)
		}
		if err := w.Rules().VerifySignatures([]types.Transfer{tr}, nil); err != nil {
			t.Errorf("%s: %v", e.Name, err)
		}
	}
	own := w.Accounts()[0].Account
	theirs, err := Build(w.Rules(), stranger(t, 0), own, 1, 1, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := theirs
	elsewhere.Sender = own
	tooMuch := elsewhere
	tooMuch.Amount = 1 << 60
	for name, c := range map[string]struct {
		rules *consensus.Rules
		t     types.Transfer
		want  error
	}{
		"another's transfer": {w.Rules(), theirs, ErrNotOurs},
		"another network":    {network(t, "valley"), elsewhere, ErrNetwork},
		"never valid":        {w.Rules(), tooMuch, consensus.ErrAmount},
	} {
		if err := keys.Sign(c.rules, &c.t); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if c.t.Signature != [types.SignatureSize]byte{} {
			t.Errorf("%s: it was signed all the same", name)
		}
	}
}

// secrets are texts of which none may ever show.
func secrets(t testing.TB) []string {
	w := words(t, fixedText)
	key := w.Key(0)
	return []string{"hamster", "diagram", "toddler", "gospel", "tennis", string(passphrase),
		hex.EncodeToString(w.seed()), hex.EncodeToString(key.Seed()), strings.Trim(fmt.Sprint(key.Seed()), "[]"),
		string(w.seed()), string(key.Seed()), hex.EncodeToString([]byte("hamster"))}
}

func checkHides(t testing.TB, what, text string) {
	t.Helper()
	for _, secret := range secrets(t) {
		if strings.Contains(strings.ToLower(text), strings.ToLower(secret)) {
			t.Errorf("%s shows %q: %q", what, secret, text)
		}
	}
}

func TestSecretsNeverShow(t *testing.T) {
	w := create(t, fixedText)
	keys := unlock(t, w)
	secret := keys.Words()
	type holder struct {
		Shown  Words
		hidden Words
		Keys   *Keys
		keys   Keys
	}
	held := holder{secret, secret, keys, *keys}
	for _, v := range []any{secret, &secret, []Words{secret}, map[string]Words{"w": secret}, keys, *keys, held, &held, w, *w} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%T"} {
			checkHides(t, fmt.Sprintf("%s of %T", verb, v), fmt.Sprintf(verb, v))
		}
		data, err := json.Marshal(v)
		if err != nil {
			t.Errorf("%T: %v", v, err)
		}
		checkHides(t, fmt.Sprintf("JSON of %T", v), string(data))
		var b bytes.Buffer
		slog.New(slog.NewTextHandler(&b, nil)).Info("log", "v", v)
		slog.New(slog.NewJSONHandler(&b, nil)).Info("log", "v", v)
		checkHides(t, fmt.Sprintf("log of %T", v), b.String())
	}
	for _, got := range []string{secret.String(), secret.GoString(), fmt.Sprint(secret), fmt.Sprintf("%x", secret)} {
		if got != "[words]" {
			t.Errorf("words print as %q", got)
		}
	}
	_, err := ParseWords(swap(fixedText, 23, "zoo"))
	checkHides(t, "checksum", fmt.Sprint(err))
	_, err = ParseWords(swap(fixedText, 23, "xxxxxxxx"))
	checkHides(t, "unknown word", fmt.Sprint(err))
	_, err = ParseWords(fixedText + " hamster")
	checkHides(t, "too many words", fmt.Sprint(err))
	_, err = Create(w.dir, w.rules, secret, passphrase)
	checkHides(t, "Create", fmt.Sprint(err))
	checkHides(t, "ChangePassphrase", fmt.Sprint(w.ChangePassphrase([]byte("hamster"), passphrase)))
	public, err := os.ReadFile(filepath.Join(w.dir, publicName))
	if err != nil {
		t.Fatal(err)
	}
	checkHides(t, publicName, string(public))
	sealed, err := os.ReadFile(filepath.Join(w.dir, secretName))
	if err != nil {
		t.Fatal(err)
	}
	checkHides(t, secretName, string(sealed))
}
