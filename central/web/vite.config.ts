import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

// Where `npm run dev` finds the API; the built UI is served by the centre itself.
const CENTRE = 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [react()],
  // The centre forbids inline scripts and data: scripts, so nothing may be inlined.
  build: { outDir: 'dist', emptyOutDir: true, assetsInlineLimit: 0, modulePreload: { polyfill: false }, chunkSizeWarningLimit: 700 },
  server: { proxy: { '/api': CENTRE } },
});
