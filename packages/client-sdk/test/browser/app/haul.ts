/// <reference lib="dom" />
// A tab of the long haul: a person in a page does what the driver orders.
import { platformDial, QasidClient } from '../../../dist/index.js';
import type { Answer, Order } from '../../support/haul/orders.js';
import { People } from '../../support/haul/people.js';

declare global {
  interface Window {
    order(order: Order): Promise<Answer>;
    /** To the driver; one JSON object. */
    news(line: string): void;
  }
}

function profileOf(directory: string): string {
  return directory.split('/').at(-1) ?? '';
}

const people = new People({
  dial: platformDial,
  say: (news) => window.news(JSON.stringify(news)),
  open: ({ relay, directory }, socket) =>
    QasidClient.open({ relay, profile: profileOf(directory), socket }),
  link: ({ relay, directory }, socket, link) =>
    QasidClient.link({
      relay,
      profile: profileOf(directory),
      socket,
      link,
      name: 'linked',
      confirm: () => true,
    }),
});

window.order = (order) => people.do(order);
