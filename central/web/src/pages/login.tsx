import { Button, PasswordInput, TextInput } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useState, type FormEvent } from 'react';
import { ApiError, request, say } from '../api/client';
import { keys } from '../api/queries';
import type { SessionToken } from '../api/schema';
import { Problem } from '../parts/say';

const why = (error: unknown): string =>
  error instanceof ApiError && error.status === 401 ? 'Name or password is wrong.' : say(error);

export function LoginPage() {
  const client = useQueryClient();
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      const session = await request<SessionToken>('POST', '/session', { name: name.trim(), password });
      client.setQueryData(keys.session, { name: session.name, role: session.role });
    } catch (error) {
      setProblem(why(error));
      setBusy(false);
    }
  };

  return (
    <main className="login">
      <form className="login-card" onSubmit={(event) => void submit(event)} aria-label="Log in">
        <h1>
          <img src="/favicon.svg" alt="" width="36" height="36" />
          Wayside
        </h1>
        <p className="dim">Frames chosen at the edge, labelled and learned from here.</p>
        <TextInput label="Name" value={name} onChange={(e) => setName(e.currentTarget.value)} autoComplete="username" autoFocus required withAsterisk={false} />
        <PasswordInput
          label="Password"
          value={password}
          onChange={(e) => setPassword(e.currentTarget.value)}
          autoComplete="current-password"
          required
          withAsterisk={false}
        />
        {problem && <Problem text={problem} />}
        <Button type="submit" loading={busy} fullWidth mt={4}>
          Log in
        </Button>
      </form>
    </main>
  );
}
