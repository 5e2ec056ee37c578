package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/cometbft/cometbft/libs/log"
	coretypes "github.com/cometbft/cometbft/rpc/core/types"
	rpctypes "github.com/cometbft/cometbft/rpc/jsonrpc/types"
	"github.com/gorilla/websocket"
)

// CometBFT's own.
const (
	writeWait  = 10 * time.Second
	readWait   = 30 * time.Second
	pingPeriod = readWait * 9 / 10
)

// Messages from this length on are not copied, and have a length of eight bytes in their frame.
const longMessage = 1 << 16

// endpoint serves /websocket as CometBFT does: every call of the RPC, and subscriptions, which are the hub's.
type endpoint struct {
	hub       *hub
	calls     http.Handler
	readLimit int64
	logger    log.Logger
	upgrader  websocket.Upgrader
}

func newEndpoint(hub *hub, calls http.Handler, readLimit int64, logger log.Logger) *endpoint {
	return &endpoint{hub: hub, calls: calls, readLimit: readLimit, logger: logger, upgrader: websocket.Upgrader{
		// As CometBFT's: what a page may do is for its CORS settings and for the proxy in front.
		CheckOrigin: func(*http.Request) bool { return true },
		// Idle connections need no buffer.
		WriteBufferPool: &sync.Pool{},
	}}
}

// connection is one client. Calls are answered one after the other, so it never has more than one answer waiting.
type connection struct {
	*endpoint
	ws     *websocket.Conn
	remote string
	// Ends with the connection.
	ctx    context.Context
	cancel context.CancelFunc
	// Held by who writes.
	writing sync.Mutex
	// Why subscriptions ended.
	notices chan []byte

	// Guards what waits to be written.
	mu      sync.Mutex
	waiting []event
	// Has an element when something waits.
	wake chan struct{}
}

// event is what a subscription asked for; who it is for stands in the subscription's head.
type event struct {
	to   *subscription
	tail []byte
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ws, err := e.upgrader.Upgrade(w, r, nil)
	if err != nil {
		e.logger.Error("Failed to upgrade connection", "err", err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &connection{
		endpoint: e, ws: ws, remote: ws.RemoteAddr().String(), ctx: ctx, cancel: cancel,
		notices: make(chan []byte, min(e.hub.config.MaxSubscriptionsPerClient, 100)), wake: make(chan struct{}, 1),
	}
	defer func() {
		c.close()
		_ = e.hub.unsubscribeAll(c)
	}()
	e.logger.Info("New websocket connection", "remote", c.remote)
	go c.writeEvents()
	c.readCalls()
}

func (c *connection) close() {
	c.cancel()
	_ = c.ws.Close()
}

// readCalls ends when the connection does.
func (c *connection) readCalls() {
	c.ws.SetReadLimit(c.readLimit)
	alive := func(string) error { return c.ws.SetReadDeadline(time.Now().Add(readWait)) }
	c.ws.SetPongHandler(alive)
	c.ws.SetPingHandler(func(data string) error { return c.control(websocket.PongMessage, []byte(data)) })
	c.ws.SetCloseHandler(func(code int, _ string) error {
		return c.control(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""))
	})
	for alive("") == nil {
		_, message, err := c.ws.ReadMessage()
		if err != nil {
			c.logger.Info("Client closed the connection", "remote", c.remote, "err", err)
			return
		}
		if c.answer(message) != nil {
			return
		}
	}
}

// answer returns an error if the client cannot be written to.
func (c *connection) answer(message []byte) error {
	var request rpctypes.RPCRequest
	if err := json.Unmarshal(message, &request); err != nil {
		c.writing.Lock()
		defer c.writing.Unlock()
		return c.respond(rpctypes.RPCParseError(fmt.Errorf("error unmarshaling request: %w", err)))
	}
	if request.ID == nil { // a notification, which must not be answered
		return nil
	}
	switch request.Method {
	case "subscribe":
		return c.subscription(request, func(query string) (any, error) {
			return &coretypes.ResultSubscribe{}, c.hub.subscribe(c, query, request)
		})
	case "unsubscribe":
		return c.subscription(request, func(query string) (any, error) {
			return &coretypes.ResultUnsubscribe{}, c.hub.unsubscribe(c, query)
		})
	case "unsubscribe_all":
		return c.result(request, func() (any, error) { return &coretypes.ResultUnsubscribe{}, c.hub.unsubscribeAll(c) })
	}
	call, err := http.NewRequestWithContext(c.ctx, http.MethodPost, "/", bytes.NewReader(message))
	if err != nil {
		return err
	}
	call.RemoteAddr = c.remote
	answer := answer{header: make(http.Header)}
	c.calls.ServeHTTP(&answer, call)
	return c.writeAlone(answer.Bytes(), nil)
}

// subscription answers a call with a query.
func (c *connection) subscription(request rpctypes.RPCRequest, f func(query string) (any, error)) error {
	return c.result(request, func() (any, error) {
		query, err := queryOf(request.Params)
		if err != nil {
			return nil, fmt.Errorf("error converting json params to arguments: %w", err)
		}
		return f(query)
	})
}

// result writes the answer before any event that a new subscription brings.
func (c *connection) result(request rpctypes.RPCRequest, f func() (any, error)) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	result, err := f()
	if err != nil {
		return c.respond(rpctypes.RPCInternalError(request.ID, err))
	}
	return c.respond(rpctypes.NewRPCSuccessResponse(request.ID, result))
}

// queryOf takes the one parameter, by name or by place.
func queryOf(params json.RawMessage) (string, error) {
	var byName struct {
		Query *string `json:"query"`
	}
	var byPlace []string
	if json.Unmarshal(params, &byPlace) == nil && len(byPlace) == 1 {
		return byPlace[0], nil
	}
	if json.Unmarshal(params, &byName) == nil && byName.Query != nil {
		return *byName.Query, nil
	}
	return "", errors.New("expected one parameter, query, that is a string")
}

// send returns false if too much waits for the subscription.
func (c *connection) send(to *subscription, tail []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if to.events >= c.hub.config.SubscriptionBufferSize && to.bytes+len(tail) > c.hub.mostWaiting {
		return false
	}
	to.events++
	to.bytes += len(tail)
	c.waiting = append(c.waiting, event{to, tail})
	c.wakeUp()
	return true
}

func (c *connection) wakeUp() {
	select {
	case c.wake <- struct{}{}:
	default: // it will wake up
	}
}

// next takes what has waited longest.
func (c *connection) next() (e event, found bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 {
		return event{}, false
	}
	e = c.waiting[0]
	c.waiting[0] = event{}
	c.waiting = c.waiting[1:]
	e.to.events--
	e.to.bytes -= len(e.tail)
	if len(c.waiting) > 0 {
		c.wakeUp()
	}
	return e, true
}

// notify drops a notice when too many wait.
func (c *connection) notify(response rpctypes.RPCResponse) {
	text, err := json.Marshal(response)
	if err != nil {
		return
	}
	select {
	case c.notices <- text:
	default:
	}
}

// writeEvents ends when the connection does.
func (c *connection) writeEvents() {
	defer c.close()
	ping := time.NewTicker(pingPeriod)
	defer ping.Stop()
	for {
		var err error
		select {
		case <-c.ctx.Done():
			return
		case <-ping.C:
			err = c.control(websocket.PingMessage, nil)
		case notice := <-c.notices:
			err = c.writeAlone(notice, nil)
		case <-c.wake:
			if e, found := c.next(); found && !e.to.over.Load() {
				err = c.writeAlone(e.to.head, e.tail)
			}
		}
		if err != nil {
			c.logger.Info("Failed to write", "remote", c.remote, "err", err)
			return
		}
	}
}

// respond needs the lock, as write does.
func (c *connection) respond(response rpctypes.RPCResponse) error {
	text, err := json.Marshal(response)
	if err != nil {
		return err
	}
	return c.write(text, nil)
}

func (c *connection) writeAlone(head, tail []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.write(head, tail)
}

// write sends one message of two parts in one frame: not all clients put frames together. A long part, which many
// connections may have to write at a time, is not copied for each.
func (c *connection) write(head, tail []byte) error {
	if err := c.ws.SetWriteDeadline(time.Now().Add(writeWait)); err != nil {
		return err
	}
	if len(head)+len(tail) < longMessage {
		return c.ws.WriteMessage(websocket.TextMessage, slices.Concat(head, tail))
	}
	// RFC 6455, 5.2: the last frame of a message of text, not masked, whose length takes eight bytes.
	frame := binary.BigEndian.AppendUint64([]byte{0x81, 127}, uint64(len(head)+len(tail)))
	if err := c.ws.NetConn().SetWriteDeadline(time.Now().Add(writeWait)); err != nil {
		return err
	}
	for _, part := range [][]byte{append(frame, head...), tail} {
		if _, err := c.ws.NetConn().Write(part); err != nil {
			return err
		}
	}
	return nil
}

// control waits for its turn too: write goes past gorilla's own lock.
func (c *connection) control(kind int, data []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.ws.WriteControl(kind, data, time.Now().Add(writeWait))
}

// answer keeps what a handler of HTTP writes.
type answer struct {
	bytes.Buffer
	header http.Header
}

func (a *answer) Header() http.Header { return a.header }
func (*answer) WriteHeader(int)       {}
