import { Component, type ReactNode } from 'react';

/** The last net: a page that fails says so instead of going blank. */
export class Crash extends Component<{ children: ReactNode }, { failed: string | null }> {
  override state = { failed: null };

  static getDerivedStateFromError(error: unknown): { failed: string } {
    return { failed: error instanceof Error ? error.message : String(error) };
  }

  override render(): ReactNode {
    if (this.state.failed === null) return this.props.children;
    return (
      <main className="crash" role="alert">
        <h1>This page failed</h1>
        <p>Unsaved work is kept in this browser. Reload the page to go on.</p>
        <p className="dim">{this.state.failed}</p>
        <button type="button" onClick={() => window.location.reload()}>
          Reload
        </button>
      </main>
    );
  }
}
