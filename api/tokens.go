package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"cairn/api/client"
	"cairn/store"
)

// scopes are what a token may allow, each with those before it. Their places, from
// 1, are stored.
var scopes = []client.Scope{client.ScopeRead, client.ScopeSubmit, client.ScopeOperate}

// level is a scope's place among the scopes, from 1; 0 is nobody's.
func level(s client.Scope) uint8 { return uint8(slices.Index(scopes, s) + 1) }

const (
	maxTokens    = 1000
	maxTokenName = 64 // bytes
)

// tokens are those that were made through the API. Only their hashes are kept.
type tokens struct {
	store *store.Store

	mu  sync.Mutex
	all []store.Token // sorted by name
}

func loadTokens(s *store.Store) (*tokens, error) {
	all, err := s.Tokens()
	return &tokens{store: s, all: all}, err
}

// levelOf returns what a secret allows, 0 when it is no token's. All are compared,
// so that the time tells nothing.
func (t *tokens) levelOf(secret string) (found uint8) {
	sum := sha256.Sum256([]byte(secret))
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.all {
		if subtle.ConstantTimeCompare(sum[:], t.all[i].Sum[:]) == 1 {
			found = t.all[i].Scope
		}
	}
	return found
}

// tokenName tells whether a token may have a name, which comes in paths too.
func tokenName(name string) bool {
	odd := func(r rune) bool { return r < ' ' || r == 0x7f || r == '/' }
	return name != "" && len(name) <= maxTokenName && strings.TrimSpace(name) == name && !strings.ContainsFunc(name, odd) &&
		name != "." && name != ".."
}

// create makes a token, durably, and returns it with its secret.
func (t *tokens) create(n client.NewToken) (client.TokenData, error) {
	name := n.Name
	if !tokenName(name) {
		return client.TokenData{}, invalid("name is %s; it should have 1 to %d bytes, no slash, no control characters, no spaces at its ends, and not be . or ..", quote(name), maxTokenName)
	}
	if level(n.Scope) == 0 {
		return client.TokenData{}, invalid("scope is %s; it should be read, submit or operate", quote(string(n.Scope)))
	}
	secret := rand.Text()
	token := store.Token{Name: name, Scope: level(n.Scope), Created: uint64(time.Now().Unix()), Sum: sha256.Sum256([]byte(secret))}
	t.mu.Lock()
	defer t.mu.Unlock()
	at, taken := t.find(name)
	if taken {
		return client.TokenData{}, refuse(client.ErrNameTaken, "there is a token %s; revoke it first, or choose another name", quote(name))
	}
	if len(t.all) >= maxTokens {
		return client.TokenData{}, refuse(client.ErrTooMany, "there are %d tokens, which is the most; revoke those that nobody needs", maxTokens)
	}
	batch := t.store.NewBatch()
	defer batch.Close()
	batch.PutToken(token)
	if err := batch.Commit(); err != nil {
		return client.TokenData{}, err
	}
	t.all = slices.Insert(t.all, at, token)
	data := tokenData(token)
	data.Token = secret
	return data, nil
}

// revoke forgets a token, durably, and tells whether there was one of that name.
func (t *tokens) revoke(name string) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, found := t.find(name)
	if !found {
		return false, nil
	}
	batch := t.store.NewBatch()
	defer batch.Close()
	batch.DeleteToken(name)
	if err := batch.Commit(); err != nil {
		return false, err
	}
	t.all = slices.Delete(t.all, at, at+1)
	return true, nil
}

func (t *tokens) find(name string) (at int, found bool) {
	return slices.BinarySearchFunc(t.all, name, func(t store.Token, name string) int { return strings.Compare(t.Name, name) })
}

// list returns all tokens, without their secrets.
func (t *tokens) list() []client.TokenData {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]client.TokenData, 0, len(t.all))
	for _, token := range t.all {
		all = append(all, tokenData(token))
	}
	return all
}

func tokenData(t store.Token) client.TokenData {
	return client.TokenData{Name: t.Name, Scope: scopes[t.Scope-1], Created: int64(t.Created)}
}

// registerTokens registers the calls about tokens.
func (d *docs) registerTokens() {
	s := d.s
	endpoint(d, needs(get("/v1/tokens", "list-tokens", tagNode, "The tokens that were made, without their secrets"), client.ScopeOperate),
		func(context.Context, *none) (client.Page[client.TokenData], error) {
			return client.Page[client.TokenData]{Items: s.tokens.list()}, nil
		})
	create := needs(post("/v1/tokens", "create-token", tagNode, "Make a token; its secret is in this answer and nowhere else"), client.ScopeOperate)
	create = d.answers(create, http.StatusCreated, mediaJSON, reflect.TypeFor[client.TokenData]())
	call(d, d.takes(create, map[string]reflect.Type{mediaJSON: reflect.TypeFor[client.NewToken]()}), s.createToken)
	revoke := needs(get("/v1/tokens/{name}", "revoke-token", tagNode, "Make a token worthless"), client.ScopeOperate)
	revoke.Method = http.MethodDelete
	call(d, d.answers(revoke, http.StatusNoContent, "", nil), s.revokeToken)
}

func (s *server) createToken(w *response, r *http.Request, _ *none) error {
	o, err := readObject(w, r)
	if err != nil {
		return err
	}
	if err := only(o, "name", "scope"); err != nil {
		return err
	}
	name, err := textOf(o, "name")
	if err != nil {
		return err
	}
	scope, err := textOf(o, "scope")
	if err != nil {
		return err
	}
	if s.signer != nil && level(client.Scope(scope)) == level(client.ScopeOperate) && !w.who.token {
		return challenge{refuse(client.ErrUnauthorised, "this node signs from a wallet, so a token that may operate it is made only for whoever sends one; "+
			"when the node starts it names the file that holds its own"), bearer}
	}
	token, err := s.tokens.create(client.NewToken{Name: name, Scope: client.Scope(scope)})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, token)
}

type tokenParam struct {
	Name string `path:"name"`
}

func (s *server) revokeToken(w *response, _ *http.Request, in *tokenParam) error {
	revoked, err := s.tokens.revoke(in.Name)
	if err != nil {
		return err
	}
	if !revoked {
		return refuse(client.ErrNotFound, "there is no token %s; GET /v1/tokens lists them", quote(in.Name))
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
