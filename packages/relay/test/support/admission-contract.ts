// What every store must do with invites, tickets and an operator's decisions.
import { toHex } from '@qasid/protocol/envelope';
import { provider } from '@qasid/protocol/crypto/node';
import type { Test } from 'tap';
import type { RegisterWrite } from '#src/store/port.js';
import type { AddInviteWrite, VerifiedTicket } from '#src/store/port-admission.js';
import { newDevice, newPerson } from './client.js';
import {
  type Adapter,
  append,
  enrol,
  one,
  onStores,
  putDevices,
  registerWrite,
} from './store-contract.js';

const hash = () => provider.randomBytes(32);

function addInvite(more: Partial<AddInviteWrite> = {}): AddInviteWrite {
  const write = { uses: 1, untilMinute: 200, mailboxBytesMax: undefined, ...more };
  return { kind: 'addInvite', hash: hash(), ...write };
}

function newTicket(more: Partial<VerifiedTicket> = {}): VerifiedTicket {
  return { user: hash(), id: hash(), untilMinute: 120, replaces: false, ...more };
}

/** Run all of it. */
export function admissionContract(t: Test, adapter: Adapter): void {
  const withStore = onStores(t, adapter);
  const register = (more: Partial<RegisterWrite> = {}): RegisterWrite =>
    registerWrite(newPerson(), more);

  withStore(
    'ATK-E13 an invite is used as often as it says, and not after its time',
    async (t, store) => {
      const write = addInvite({ uses: 2 });
      const invite = write.hash;
      t.strictSame(await one(store, write), { kind: 'added' });
      t.strictSame(await store.invites(), [
        { id: invite.slice(0, 8), uses: 2, untilMinute: 200, mailboxBytesMax: undefined },
      ]);
      const invalid = { kind: 'inviteInvalid' } as const;
      t.strictSame(await one(store, register({ invite: hash() })), invalid, 'guessed');
      t.strictSame(await one(store, register({ invite, minute: 200 })), invalid, 'over');
      const first = register({ invite, username: 'alice' });
      t.match(await one(store, first), { kind: 'registered' });
      // Nothing is consumed by what creates nothing: a repeat, a taken name, a taken account.
      t.match(await one(store, first), { kind: 'registered' });
      t.strictSame(await one(store, register({ invite, username: 'alice' })), {
        kind: 'usernameTaken',
      });
      const thief = { ...register({ invite }), account: first.account };
      t.strictSame(await one(store, thief), { kind: 'accountTaken' });
      t.match(await store.invites(), [{ uses: 1 }]);
      // The last one is wanted by three at once: one of them has it.
      const results = await store.commit([1, 2, 3].map(() => register({ invite })));
      t.strictSame(
        results.map(({ kind }) => kind),
        ['registered', 'inviteInvalid', 'inviteInvalid'],
      );
      t.strictSame(await store.invites(), []);
      t.match(await store.totals(), { accounts: 2 });
    },
  );

  withStore('an invite is revoked, and forgotten when its time is over', async (t, store) => {
    const [kept, revoked, over] = [addInvite(), addInvite(), addInvite({ untilMinute: 150 })];
    await store.commit([kept, revoked, over]);
    const drop = { kind: 'dropInvite', id: revoked.hash.slice(0, 8) } as const;
    t.strictSame(await one(store, drop), { kind: 'dropped', count: 1 });
    t.strictSame(await one(store, drop), { kind: 'dropped', count: 0 });
    t.strictSame(await one(store, register({ invite: revoked.hash })), { kind: 'inviteInvalid' });
    await store.commit([{ kind: 'sweep', nowMinute: 150, afterSeq: 0, limit: 10 }]);
    t.strictSame(
      (await store.invites()).map(({ id }) => toHex(id)),
      [toHex(kept.hash.slice(0, 8))],
    );
  });

  withStore('ATK-F08 a ticket is used once, and a user has one account', async (t, store) => {
    const ticket = newTicket();
    const first = register({ ticket, username: 'alice' });
    const registered = await one(store, first);
    t.match(registered, { kind: 'registered', removed: [] });
    t.match(await one(store, first), { kind: 'registered' }, 'the answer was lost');
    t.strictSame(await one(store, register({ ticket })), { kind: 'ticketUsed' });
    const second = newTicket({ user: ticket.user });
    t.strictSame(await one(store, register({ ticket: second })), { kind: 'userTaken' });
    t.ok(await store.account(first.account), 'nothing was lost by trying');
    // The backend says that the user starts anew: the old account makes place, its name rests.
    const anew = register({ ticket: { ...second, replaces: true } });
    const old = registered.kind === 'registered' ? registered.mailbox : 0;
    t.match(await one(store, anew), { kind: 'registered', removed: [old] });
    t.equal(await store.account(first.account), undefined);
    const heir = register({ ticket: newTicket(), username: 'alice', minute: 199 });
    t.strictSame(await one(store, heir), { kind: 'usernameTaken' });
    t.match(await one(store, { ...heir, minute: 200 }), { kind: 'registered' }, 'and not consumed');
    // Who deletes the account may come back.
    await store.commit([{ kind: 'deleteAccount', account: anew.account, freeMinute: 0 }]);
    const back = register({ ticket: newTicket({ user: ticket.user }) });
    t.match(await one(store, back), { kind: 'registered' });
    // A ticket is remembered as long as it could be shown again.
    await store.commit([{ kind: 'sweep', nowMinute: 119, afterSeq: 0, limit: 10 }]);
    t.strictSame(await one(store, register({ ticket })), { kind: 'ticketUsed' });
  });

  withStore('an account is suspended and resumed', async (t, store) => {
    const bob = newPerson();
    const mailbox = await enrol(store, bob);
    const set = { kind: 'setAccount', account: bob.account } as const;
    const answer = { kind: 'set', mailboxes: [mailbox] } as const;
    t.strictSame(await one(store, { ...set, isSuspended: true }), answer);
    t.equal((await store.account(bob.account))?.isSuspended, true);
    t.match(await one(store, append(bob, 7, ['waits for him'])), { kind: 'stored' });
    t.strictSame(await one(store, { ...set, isSuspended: false }), answer);
    t.equal((await store.account(bob.account))?.isSuspended, false);
    const nobody = { ...set, account: newPerson().account };
    t.strictSame(await one(store, nobody), { kind: 'noAccount' });
  });

  withStore(
    'quotas: the relay’s, an invite’s, an account’s',
    async (t, store) => {
      const invite = addInvite({ mailboxBytesMax: 5 });
      await store.commit([invite]);
      const [small, other] = [newPerson(), newPerson()];
      await enrol(store, small, { invite: invite.hash });
      await enrol(store, other);
      t.equal((await store.account(small.account))?.mailboxBytesMax, 5);
      t.match(await one(store, append(small, 7, ['12345'])), { kind: 'stored' });
      t.strictSame(await one(store, append(small, 7, ['6'])), { kind: 'full' });
      t.match(await one(store, append(other, 7, ['1234567890'])), { kind: 'stored' });
      const set = { kind: 'setAccount', account: small.account } as const;
      await store.commit([{ ...set, mailboxBytesMax: 6 }]);
      t.match(await one(store, append(small, 7, ['6'])), { kind: 'stored' });
      t.strictSame(await one(store, append(small, 7, ['7'])), { kind: 'full' });
      await store.commit([{ ...set, mailboxBytesMax: null }]);
      t.match(await one(store, append(small, 7, ['7 and more'])), { kind: 'stored' });
    },
    { bytesMax: 100 },
  );

  withStore(
    'nothing is stored for a device nobody comes back to',
    async (t, store) => {
      const bob = newPerson();
      const mailbox = await enrol(store, bob);
      const DAY = 24 * 60;
      const at = (day: number) => {
        const minute = day * DAY;
        return { ...append(bob, 7, ['x']), minute, expiresMinute: minute + 10 };
      };
      t.match(await one(store, at(5_000)), { kind: 'stored' }, 'one that never came is new');
      const seen = { kind: 'seen', account: bob.account, mailbox, day: 1_000 } as const;
      t.strictSame(await one(store, seen), { kind: 'noted' });
      t.equal((await store.account(bob.account))?.devices[0]?.seenDay, 1_000);
      t.match(await one(store, at(1_090)), { kind: 'stored', placements: [{ mailbox }] });
      t.strictSame(await one(store, at(1_091)), { kind: 'full' }, 'the sender is told');
      const { rows } = await store.read(mailbox, 0, 10, 1e6);
      t.equal(rows.length, 2);
      await store.commit([{ ...seen, day: 1_091 }]);
      t.match(await one(store, at(1_091)), { kind: 'stored' }, 'and it may come back');
    },
    { idleDays: 90 },
  );

  withStore(
    'one device stays away: the others get everything',
    async (t, store) => {
      const bob = newPerson();
      const tablet = newDevice(bob, 2);
      const phone = await enrol(store, bob);
      const changed = await one(store, putDevices(bob, 2, [bob, tablet]));
      const second = changed.kind === 'changed' ? changed.members[1]! : 0;
      const { account } = bob;
      await store.commit([
        { kind: 'seen', account, mailbox: phone, day: 1_091 },
        { kind: 'seen', account, mailbox: second, day: 1_000 },
      ]);
      const parts = [append(bob, 7, ['p']).parts[0]!, append(tablet, 7, ['t']).parts[0]!];
      const minute = 1_091 * 24 * 60;
      const send = { ...append(bob, 7, []), parts, minute, expiresMinute: minute + 10 };
      const sent = await one(store, send);
      t.equal(sent.kind === 'stored' && sent.placements[1]!.seq, 0);
      t.equal((await store.read(phone, 0, 10, 1e6)).rows.length, 1);
      t.equal((await store.read(second, 0, 10, 1e6)).rows.length, 0);
    },
    { idleDays: 90 },
  );

  const { reopen } = adapter;
  if (reopen !== undefined) {
    t.test('invites, tickets and decisions survive a restart', async (t) => {
      const store = await adapter.open({});
      const invite = addInvite();
      const ticket = newTicket();
      const bob = newPerson();
      await store.commit([invite, registerWrite(bob, { ticket })]);
      const set = { kind: 'setAccount', account: bob.account } as const;
      await store.commit([{ ...set, isSuspended: true, mailboxBytesMax: 9 }]);
      const again = await reopen(store);
      t.teardown(() => again.close());
      t.equal((await again.invites()).length, 1);
      t.match(await again.account(bob.account), { isSuspended: true, mailboxBytesMax: 9 });
      t.strictSame(await one(again, register({ ticket })), { kind: 'ticketUsed' });
    });
  }
}
