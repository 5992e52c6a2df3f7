'use strict';
// Node's node-zookeeper-client. Prints `ok NAME` or `FAIL NAME: why` for each scenario.

const assert = require('assert');
const zookeeper = require('node-zookeeper-client');

const { ACL, CreateMode, Event, Exception, Id, Permission } = zookeeper;
const hosts = process.argv[2];
const scenarios = [];
const clients = [];
const PATIENCE_MS = 20000;

function scenario(name, body) {
  scenarios.push({ name, body });
}

function within(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited in vain: ${what}`)), PATIENCE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function open() {
  const client = zookeeper.createClient(hosts, { sessionTimeout: 8000 });
  clients.push(client);
  const connected = new Promise((resolve) => client.once('connected', resolve));
  client.connect();
  await within('connected', connected);
  return client;
}

// Calls a method that ends in a callback; the answer is the list of what it was given.
function call(client, method, ...args) {
  const answered = new Promise((resolve, reject) => {
    client[method](...args, (error, ...results) => (error ? reject(error) : resolve(results)));
  });
  return within(method, answered);
}

async function fails(code, promise) {
  try {
    await promise;
  } catch (error) {
    assert.strictEqual(error.getCode && error.getCode(), code, String(error));
    return;
  }
  assert.fail(`error ${code} expected`);
}

// A watcher and the promise of its event.
function watch() {
  let watcher;
  const fired = new Promise((resolve) => {
    watcher = resolve;
  });
  return { watcher, event: () => within('a watch event', fired) };
}

scenario('create_get_set_remove', async (path) => {
  const zk = await open();
  assert.deepStrictEqual(await call(zk, 'create', path, Buffer.from('one')), [path]);
  const [data, stat] = await call(zk, 'getData', path);
  assert.strictEqual(data.toString(), 'one');
  assert.strictEqual(stat.version, 0);
  const [changed] = await call(zk, 'setData', path, Buffer.from('two'), 0);
  assert.strictEqual(changed.version, 1);
  await fails(Exception.BAD_VERSION, call(zk, 'setData', path, Buffer.from('x'), 0));
  await fails(Exception.NODE_EXISTS, call(zk, 'create', path));
  await fails(Exception.NO_NODE, call(zk, 'create', `${path}/no/parent`));
  await call(zk, 'create', `${path}/child`);
  await fails(Exception.NOT_EMPTY, call(zk, 'remove', path, -1));
  const [children, parent] = await call(zk, 'getChildren', path);
  assert.deepStrictEqual(children, ['child']);
  assert.strictEqual(parent.numChildren, 1);
  await call(zk, 'removeRecursive', path, -1);
  assert.deepStrictEqual(await call(zk, 'exists', path), [null]);
});

scenario('sequential_and_ephemeral', async (path) => {
  const zk = await open();
  const other = await open();
  await call(zk, 'mkdirp', path);
  const mode = CreateMode.EPHEMERAL_SEQUENTIAL;
  const [made] = await call(zk, 'create', `${path}/n-`, null, ACL.OPEN_ACL_UNSAFE, mode);
  assert.strictEqual(made, `${path}/n-0000000000`);
  const [stat] = await call(other, 'exists', made);
  assert.deepStrictEqual(stat.ephemeralOwner, zk.getSessionId());
  const gone = watch();
  await call(other, 'exists', made, gone.watcher);
  zk.close();
  assert.strictEqual((await gone.event()).getType(), Event.NODE_DELETED);
});

scenario('watches_fire_for_what_they_watch', async (path) => {
  const zk = await open();
  const other = await open();
  const created = watch();
  assert.deepStrictEqual(await call(zk, 'exists', path, created.watcher), [null]);
  await call(other, 'create', path);
  assert.strictEqual((await created.event()).getType(), Event.NODE_CREATED);
  const changed = watch();
  await call(zk, 'getData', path, changed.watcher);
  await call(other, 'setData', path, Buffer.from('1'), -1);
  const event = await changed.event();
  assert.strictEqual(event.getType(), Event.NODE_DATA_CHANGED);
  assert.strictEqual(event.getPath(), path);
  const children = watch();
  await call(zk, 'getChildren', path, children.watcher);
  await call(other, 'create', `${path}/x`);
  assert.strictEqual((await children.event()).getType(), Event.NODE_CHILDREN_CHANGED);
});

scenario('transactions_do_all_or_nothing', async (path) => {
  const zk = await open();
  const good = zk.transaction().create(path, Buffer.from('1')).check(path, 0)
    .setData(path, Buffer.from('2'), 0).create(`${path}/x`).remove(`${path}/x`, 0);
  const [results] = await call(good, 'commit');
  assert.strictEqual(results.length, 5);
  assert.strictEqual(results[0].path, path);
  assert.strictEqual(results[2].stat.version, 1);
  const bad = zk.transaction().setData(path, Buffer.from('3'), -1).remove(`${path}/x`, -1);
  await fails(Exception.NO_NODE, call(bad, 'commit'));
  assert.strictEqual((await call(zk, 'getData', path))[0].toString(), '2');
});

scenario('acls_keep_strangers_out', async (path) => {
  const owner = await open();
  const stranger = await open();
  owner.addAuthInfo('digest', Buffer.from('ann:pw'));
  await call(owner, 'create', path, Buffer.from('1'), ACL.CREATOR_ALL_ACL, CreateMode.PERSISTENT);
  await fails(Exception.NO_AUTH, call(stranger, 'getData', path));
  const [acls] = await call(owner, 'getACL', path);
  assert.strictEqual(acls[0].id.scheme, 'digest');
  const reading = [new ACL(Permission.READ, Id.ANYONE_ID_UNSAFE)];
  const [stat] = await call(owner, 'setACL', path, reading, 0);
  assert.strictEqual(stat.aversion, 1);
  assert.strictEqual((await call(stranger, 'getData', path))[0].toString(), '1');
  await fails(Exception.NO_AUTH, call(stranger, 'setData', path, Buffer.from('2'), -1));
});

scenario('a_large_value_comes_back_whole', async (path) => {
  const zk = await open();
  const large = Buffer.alloc(900000, 'grove');
  await call(zk, 'create', path, large);
  assert.ok((await call(zk, 'getData', path))[0].equals(large));
});

scenario('requests_are_answered_in_order', async (path) => {
  const zk = await open();
  await call(zk, 'create', path);
  const order = [];
  const all = [];
  for (let number = 0; number < 100; number += 1) {
    all.push(call(zk, 'setData', path, Buffer.from(String(number)), number)
      .then(() => order.push(number)));
  }
  await Promise.all(all);
  assert.deepStrictEqual(order, [...Array(100).keys()]);
});

async function main() {
  let failed = 0;
  for (const { name, body } of scenarios) {
    try {
      await body(`/${name}`);
      console.log(`ok ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAIL ${name}: ${error}\n${error.stack}`);
    }
    clients.splice(0).forEach((client) => client.close());
  }
  process.exit(failed ? 1 : 0);
}

main();
