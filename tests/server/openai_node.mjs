// What test_node.py runs: the official `openai` package of Node before a server of ours.
// node openai_node.mjs NODE_MODULES BASE_URL MODEL: runs the scenarios of that model, and fails by an exception.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [modules, baseURL, model] = process.argv.slice(2);
const { OpenAI } = createRequire(join(modules, 'here.js'))('openai');
const client = new OpenAI({ baseURL, apiKey: 'any', timeout: 20000, maxRetries: 0 });
const tool = { type: 'function', name: 'f', description: 'd', parameters: { type: 'object', properties: {} }, strict: false };

async function all(pages) {
  const items = [];
  for await (const item of pages) items.push(item);
  return items;
}

const scenarios = {
  echo: {
    async models_are_listed() {
      assert.deepEqual((await all(client.models.list())).map((m) => m.id), ['echo']);
      await assert.rejects(client.models.retrieve('none'), OpenAI.NotFoundError);
    },

    async a_chat_is_whole_or_streamed() {
      const ask = { model, messages: [{ role: 'user', content: 'grüße 🎈' }] };
      const whole = await client.chat.completions.create(ask);
      assert.match(whole.choices[0].message.content, /user: grüße 🎈/);
      const stream = client.chat.completions.stream({ ...ask, stream_options: { include_usage: true } });
      assert.equal(await stream.finalContent(), whole.choices[0].message.content);
    },

    async a_chat_in_a_session_is_kept() {
      const headers = { 'X-Convo-Session': 'node' };
      for (const [count, stream] of [[1, false], [3, true], [5, false]]) {
        const said = await client.chat.completions.create(
          { model, messages: [{ role: 'user', content: `n${count}` }], stream }, { headers });
        const text = stream
          ? (await all(said)).map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')
          : said.choices[0].message.content;
        assert.match(text, new RegExp(`${count} message`));
      }
    },

    async a_response_follows_another() {
      const one = await client.responses.create({ model, input: 'one', metadata: { a: 'b' } });
      assert.deepEqual(await client.responses.retrieve(one.id).then((r) => r.output_text), one.output_text);
      const two = await client.responses.create({ model, input: 'two', previous_response_id: one.id });
      assert.match(two.output_text, /3 messages/);
      assert.deepEqual((await all(client.responses.inputItems.list(two.id))).map((i) => i.content[0].text), ['two']);
      await client.responses.delete(two.id);
      await assert.rejects(client.responses.retrieve(two.id), (error) =>
        error instanceof OpenAI.NotFoundError && error.code === 'not_found' && !!error.requestID);
    },

    async a_response_is_streamed_and_heard_again() {
      const whole = await client.responses.create({ model, input: 'one two' });
      const stream = client.responses.stream({ model, input: 'one two' });
      let heard = '';
      stream.on('response.output_text.delta', (event) => { heard += event.delta; });
      const said = await stream.finalResponse();
      assert.equal(heard, whole.output_text);
      assert.equal(said.output_text, whole.output_text);
      const again = client.responses.stream({ response_id: said.id });
      assert.equal((await again.finalResponse()).output_text, whole.output_text);
      const events = await all(await client.responses.retrieve(said.id, { stream: true, starting_after: 5 }));
      assert.ok(events.every((event) => event.sequence_number > 5));
      assert.equal(events.at(-1).type, 'response.completed');
    },

    async conversations_have_items_in_pages() {
      const talk = await client.conversations.create({ metadata: { topic: 'a' } });
      const items = Array.from({ length: 45 }, (_, i) => ({ role: 'user', content: `n${i}` }));
      await client.conversations.items.create(talk.id, { items });
      for (const limit of [1, 20, 100]) {
        const got = await all(client.conversations.items.list(talk.id, { order: 'asc', limit }));
        assert.deepEqual(got.map((item) => item.content[0].text), items.map((item) => item.content));
      }
      const said = await client.responses.create({ model, input: 'x', conversation: talk.id });
      assert.equal(said.conversation.id, talk.id);
      const last = (await client.conversations.items.list(talk.id, { limit: 1 })).data[0];
      assert.equal((await client.conversations.items.retrieve(last.id, { conversation_id: talk.id })).id, last.id);
      await client.conversations.items.delete(last.id, { conversation_id: talk.id });
      assert.deepEqual((await client.conversations.update(talk.id, { metadata: { topic: 'b' } })).metadata, { topic: 'b' });
      assert.equal((await client.conversations.delete(talk.id)).deleted, true);
      await assert.rejects(client.conversations.retrieve(talk.id), OpenAI.NotFoundError);
    },

    async what_is_wrong_is_named() {
      await assert.rejects(client.responses.create({ model, input: 'x', tools: [{ type: 'web_search' }] }), (error) =>
        error instanceof OpenAI.BadRequestError && error.param === 'tools');
      await assert.rejects(client.responses.create({ model: 'none', input: 'x' }), OpenAI.NotFoundError);
    },

    async a_replay_is_one_response() {
      const headers = { 'Idempotency-Key': `node ${Date.now()}` };
      const [one, two] = [await client.responses.create({ model, input: 'x' }, { headers }),
        await client.responses.create({ model, input: 'x' }, { headers })];
      assert.deepEqual(one, two);
    },
  },

  tool: {
    async calls_are_answered() {
      const ask = { model, tools: [tool] };
      const called = await client.responses.create({ ...ask, input: 'x' });
      const call = called.output[0];
      assert.deepEqual([call.type, call.name, call.arguments], ['function_call', 'f', '{}']);
      const output = { type: 'function_call_output', call_id: call.call_id, output: '42' };
      const said = await client.responses.create({ ...ask, input: [output], previous_response_id: called.id });
      assert.equal(said.output_text, 'user assistant tool at None');
    },

    async calls_are_streamed() {
      const said = await client.responses.stream({ model, tools: [tool], input: 'x' }).finalResponse();
      assert.equal(said.output[0].arguments, '{}');
    },

    async a_chat_runs_its_tools() {
      let runs = 0;
      const runner = client.chat.completions.runTools({
        model,
        messages: [{ role: 'user', content: 'x' }],
        tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object', properties: {} },
          parse: JSON.parse, function: () => { runs++; return '42'; } } }],
      }, { headers: { 'X-Convo-Session': 'tools' } });
      assert.equal(await runner.finalContent(), 'user assistant tool at None');
      assert.equal(runs, 1);
    },
  },

  slow: {
    async one_in_the_background_is_cancelled() {
      const begun = await client.responses.create({ model, input: 'x', background: true });
      assert.equal(begun.status, 'in_progress');
      assert.equal((await client.responses.cancel(begun.id)).status, 'cancelled');
    },
  },
};

for (const [name, run] of Object.entries(scenarios[model])) {
  try {
    await run();
  } catch (error) {
    console.error(`in ${name}`);
    throw error;
  }
}
